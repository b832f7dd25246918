//! Every short sequence of the tokens of XML, in every place, judged by this decoder and
//! by rxml: what chance may not meet is met here.

mod laws;

use laws::oracle;

const TOKENS: [&str; 16] = [
    "<",
    ">",
    "/",
    "a",
    ":",
    "=",
    "'",
    " ",
    "&",
    ";",
    "#65",
    "?",
    "]",
    "]]>",
    "<![CDATA[",
    "xmlns",
];

/// How many tokens stand one after another at most.
const LENGTH: u32 = 3;

const HEADER: &str = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>";

/// All sequences of up to [`LENGTH`] tokens.
fn sequences() -> impl Iterator<Item = String> {
    let count = TOKENS.len();
    (0..=LENGTH).flat_map(move |length| {
        (0..count.pow(length)).map(move |number| {
            let digits = (0..length).map(|place| number / count.pow(place) % count);
            digits.map(|digit| TOKENS[digit]).collect()
        })
    })
}

#[test]
fn every_short_document_is_judged_as_rxml_judges_it() {
    for short in sequences() {
        for document in [
            format!("<a>{short}</a>"),
            format!("<a {short}/>"),
            format!("<a{short}</a>"),
            format!("<a b='{short}'/>"),
            format!("<a xmlns:p='{short}' p:b=''/>"),
            format!("<a>{short}"),
            short,
        ] {
            oracle::agree_on_a_document(document.as_bytes());
        }
    }
}

#[test]
fn no_short_stream_is_read_that_rxml_refuses() {
    for short in sequences() {
        for stream in [
            format!("{HEADER}{short}"),
            format!("{HEADER}<a>{short}</a>"),
            format!("{HEADER}</stream:stream{short}"),
            format!("<?xml version='1.0'{short}{HEADER}"),
            HEADER.replace('>', &format!("{short}>")),
        ] {
            oracle::accept_no_more_of_a_stream(stream.as_bytes());
        }
    }
}
