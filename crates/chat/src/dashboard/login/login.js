// A link may bring the token behind its #, which no browser sends anywhere: it is taken from
// there, and does not stay in the address.

const why = {
  wrong: "That is not the token. Copy it whole, from the link that was printed.",
  slow: "There were too many wrong tokens. Wait for a minute, then try again.",
};

const form = document.getElementById("login");
const said = new URLSearchParams(location.search).get("said");
if (Object.hasOwn(why, said)) document.getElementById("says").textContent = why[said];

const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  history.replaceState(null, "", "/login");
  document.getElementById("token").value = token;
  form.requestSubmit();
}
