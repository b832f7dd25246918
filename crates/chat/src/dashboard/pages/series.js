// The last numbers of a field, in a ring that grows to its bound and no further.

export class Series {
  constructor(bound) {
    this.bound = bound;
    this.at = new Float64Array(Math.min(16, bound));
    this.is = new Float64Array(Math.min(16, bound));
    this.start = 0;
    this.length = 0;
  }

  /** Times never go back; what is older than the last is left out. */
  push(at, number) {
    if (this.length && at < this.time(this.length - 1)) return;
    if (this.length && at === this.time(this.length - 1)) {
      this.is[(this.start + this.length - 1) % this.at.length] = number;
      return;
    }
    if (this.length === this.at.length && this.length < this.bound) this.grow();
    const place = (this.start + this.length) % this.at.length;
    this.at[place] = at;
    this.is[place] = number;
    if (this.length < this.at.length) this.length += 1;
    else this.start = (this.start + 1) % this.at.length;
  }

  time(i) {
    return this.at[(this.start + i) % this.at.length];
  }

  number(i) {
    return this.is[(this.start + i) % this.is.length];
  }

  grow() {
    const size = Math.min(this.bound, this.at.length * 2);
    const at = new Float64Array(size);
    const is = new Float64Array(size);
    for (let i = 0; i < this.length; i += 1) {
      at[i] = this.time(i);
      is[i] = this.number(i);
    }
    this.at = at;
    this.is = is;
    this.start = 0;
  }

  /** Puts older numbers before these: `[[at, number], …]`, oldest first. */
  before(points) {
    const own = [];
    for (let i = 0; i < this.length; i += 1) own.push([this.time(i), this.number(i)]);
    const first = own.length ? own[0][0] : Infinity;
    this.length = 0;
    this.start = 0;
    for (const [at, is] of points) if (at < first) this.push(at, is);
    for (const [at, is] of own) this.push(at, is);
  }
}
