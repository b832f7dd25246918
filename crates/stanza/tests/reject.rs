//! What XML, Namespaces in XML or XMPP forbids is refused, wherever it is cut, with
//! the stream error that RFC 6120 §4.9.3 names. rxml must refuse the same, but for the
//! few things that it lets pass.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;

use laws::oracle::document_of_rxml;
use stanchion_stanza::stream::StreamCondition;
use stanchion_stanza::{
    Decoder, Element, Limits, Scope, StreamEvent,
    codec::{DecodeError, parse_element},
};

const HEADER: &str = "<stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
const FOOTER: &str = "</stream:stream>";

use StreamCondition::{NotWellFormed, RestrictedXml, UnsupportedEncoding};

/// In bytes; the first cuts everywhere, the last nowhere.
const PORTIONS: [usize; 9] = [1, 2, 3, 4, 5, 7, 11, 13, usize::MAX];

/// Everything up to the fault, in portions of `cut` bytes.
fn read(input: &[u8], cut: usize) -> (Vec<StreamEvent>, Option<DecodeError>) {
    let mut decoder = Decoder::new(Limits::default());
    let mut events = Vec::new();
    for part in input.chunks(cut) {
        decoder.push(part);
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(fault) => return (events, Some(fault)),
            }
        }
    }
    (events, None)
}

/// `stanza` ends the stream that it stands in, and any other parser refuses it too.
fn refused(stanza: impl AsRef<[u8]>, condition: StreamCondition) {
    let stanza = stanza.as_ref();
    let shown = String::from_utf8_lossy(stanza);
    let stream = refused_here(stanza, condition);
    let alone = parse_element(stanza, &Scope::client(), &Limits::default());
    assert!(alone.is_err(), "{shown} is read as {alone:?}");
    let theirs = document_of_rxml(&stream);
    assert!(theirs.is_err(), "rxml reads {shown} as {theirs:?}");
}

/// `stanza` ends the stream that it stands in, before anything is made of it. Gives
/// that stream.
fn refused_here(stanza: impl AsRef<[u8]>, condition: StreamCondition) -> Vec<u8> {
    let stanza = stanza.as_ref();
    let shown = String::from_utf8_lossy(stanza);
    let stream = [HEADER.as_bytes(), stanza, FOOTER.as_bytes()].concat();
    for cut in PORTIONS {
        let (events, fault) = read(&stream, cut);
        let fault = fault.unwrap_or_else(|| panic!("accepted: {shown} as {events:?}"));
        assert_eq!(fault.condition(), condition, "{shown}: {fault}");
        assert!(fault.offset >= HEADER.len() as u64, "{shown}: {fault}");
        assert!(
            matches!(events[..], [StreamEvent::Open(_)]),
            "{shown}, cut every {cut}: {events:?}"
        );
    }
    stream
}

/// `opening` is no opening of a stream.
fn header_refused(opening: impl AsRef<[u8]>, condition: StreamCondition) {
    let opening = opening.as_ref();
    let shown = String::from_utf8_lossy(opening);
    for cut in PORTIONS {
        let (events, fault) = read(opening, cut);
        let fault = fault.unwrap_or_else(|| panic!("accepted: {shown} as {events:?}"));
        assert_eq!(fault.condition(), condition, "{shown}: {fault}");
        assert_eq!(events, [], "{shown}, cut every {cut}");
    }
}

/// `stanza` is fine: the tests around it fail for the reason that they name.
fn accepted(stanza: &str) {
    let stream = format!("{HEADER}{stanza}{FOOTER}");
    for cut in PORTIONS {
        let (events, fault) = read(stream.as_bytes(), cut);
        assert_eq!(fault, None, "{stanza}, cut every {cut}");
        assert!(
            matches!(
                events[..],
                [
                    StreamEvent::Open(_),
                    StreamEvent::Element(_),
                    StreamEvent::Close
                ]
            ),
            "{stanza}: {events:?}"
        );
    }
    let theirs = document_of_rxml(stream.as_bytes());
    assert!(theirs.is_ok(), "rxml refuses {stanza}: {theirs:?}");
}

#[test]
fn characters_that_xml_forbids_are_refused_raw() {
    for c in (0..0x20u8)
        .filter(|c| !b"\t\n\r".contains(c))
        .map(char::from)
    {
        refused(format!("<a>{c}</a>"), NotWellFormed);
        refused(format!("<a b='{c}'/>"), NotWellFormed);
        refused(format!("<a><![CDATA[{c}]]></a>"), NotWellFormed);
    }
    for c in ['\u{FFFE}', '\u{FFFF}'] {
        refused(format!("<a>{c}</a>"), NotWellFormed);
        refused(format!("<a b='{c}'/>"), NotWellFormed);
        refused(format!("<a{c}/>"), NotWellFormed);
    }
    accepted("<a b='\u{7F}\u{85}\u{FFFD}\u{1FFFE}\u{10FFFF}'>\t\r\n</a>");
}

#[test]
fn characters_that_xml_forbids_are_refused_as_references() {
    for code in (0..0x20u32).filter(|c| ![9, 10, 13].contains(c)).chain([
        0xFFFE,
        0xFFFF,
        0xD800,
        0xDFFF,
        0x11_0000,
        u32::MAX,
    ]) {
        for reference in [
            format!("&#{code};"),
            format!("&#x{code:x};"),
            format!("&#x00{code:X};"),
        ] {
            refused(format!("<a>{reference}</a>"), NotWellFormed);
            refused(format!("<a b='{reference}'/>"), NotWellFormed);
        }
    }
    refused("<a>&#99999999999999999999;</a>", NotWellFormed);
    accepted("<a b='&#9;&#xA;&#13;'>&#x9;&#10;&#xd;&#x10FFFF;&#xFFFD;</a>");
}

#[test]
fn broken_references_are_refused() {
    for reference in [
        "&#;",
        "&#x;",
        "&#X41;",
        "&#+65;",
        "&#-65;",
        "&# 65;",
        "&#65 ;",
        "&#x4 1;",
        "&#0x41;",
        "&#6\u{665};",
    ] {
        refused(format!("<a>{reference}</a>"), NotWellFormed);
        refused(format!("<a b='{reference}'/>"), NotWellFormed);
    }
    for unfinished in ["&", "&amp", "& amp;", "&&amp;", "a & b", "&#65"] {
        let stream = format!("{HEADER}<a>{unfinished}</a>");
        assert!(read(stream.as_bytes(), 7).1.is_some(), "{unfinished}");
        let stream = format!("{HEADER}<a b='{unfinished}'/>");
        assert!(read(stream.as_bytes(), 7).1.is_some(), "{unfinished}");
    }
}

#[test]
fn entities_other_than_the_five_are_refused() {
    for name in ["nbsp", "AMP", "Lt", "xml", "apos ", " apos", "a.b"] {
        let reference = format!("&{name};");
        refused(format!("<a>{reference}</a>"), RestrictedXml);
        refused(format!("<a b='{reference}'/>"), RestrictedXml);
    }
    accepted("<a b='&lt;&gt;&amp;&apos;&quot;'>&lt;&gt;&amp;&apos;&quot;</a>");
}

#[test]
fn names_that_are_none_are_refused() {
    for name in [
        "1a",
        "-a",
        ".a",
        "a:",
        ":a",
        "a:b:c",
        "a\u{D7}",
        "a'",
        "a\"",
        "a;",
        "a&amp;",
        "a@",
        "\u{B7}a",
        "a\u{37E}",
        "a\u{2028}",
    ] {
        refused(format!("<{name}></{name}>"), NotWellFormed);
        refused(format!("<a {name}='x'/>"), NotWellFormed);
        refused(format!("<a xmlns:{name}='urn:x'/>"), NotWellFormed);
    }
    accepted("<é.\u{B7}-_1 \u{2070}='x'/>");
}

#[test]
fn markup_in_attribute_values_is_refused() {
    refused("<a b='<'/>", NotWellFormed);
    refused("<a b='<c/>'/>", NotWellFormed);
    refused("<a b=\"x<y\"></a>", NotWellFormed);
    accepted("<a b='>' c='/>' d=']]>' e='\"' f=\"'\"/>");
}

#[test]
fn the_end_of_cdata_is_refused_in_text() {
    refused("<a>]]></a>", NotWellFormed);
    refused("<a>x]]]>y</a>", NotWellFormed);
    refused("<a><![CDATA[x]]>]]></a>", NotWellFormed);
    accepted("<a>]]&gt; ]] ></a>");
}

#[test]
fn cdata_ends_where_it_ends() {
    accepted("<a><![CDATA[]]></a>");
    accepted("<a><![CDATA[]]]]><![CDATA[>]]></a>");
    accepted("<a><![CDATA[</a><!-- x -->&amp;&x;<?p?>]]]></a>");
    refused("<a><![cdata[x]]></a>", RestrictedXml);
    refused("<a><! [CDATA[x]]></a>", RestrictedXml);
    refused("<a><![CDATA [x]]></a>", RestrictedXml);
    refused_here("<![CDATA[x]]>", StreamCondition::BadFormat);
}

#[test]
fn attributes_without_space_between_them_are_refused() {
    refused("<a b='1'c='2'/>", NotWellFormed);
    refused("<a b=\"1\"c=\"2\"/>", NotWellFormed);
    refused("<a xmlns='urn:x'b='2'/>", NotWellFormed);
    accepted("<a b='1'\tc = \r\n '2' />");
}

#[test]
fn broken_tags_are_refused() {
    for tag in [
        "<></>",
        "<a/ ></a>",
        "<a / ></a>",
        "<a b='1'/ ></a>",
        "< a></a>",
        "<\ta/>",
        "< />",
        "<a></ a>",
        "<a></a b='1'>",
        "<a></a/>",
        "<a><//a>",
        "<a b></a>",
        "<a b=></a>",
        "<a b=c></a>",
        "<a ='c'></a>",
        "<a 'c'></a>",
        "<a b='c' 'd'></a>",
        "<a b=='c'></a>",
        "<a b='c''></a><a b=''/>",
        "<a b=`c`/>",
        "<a\u{A0}b='c'/>",
        "<a\u{3000}b='c'/>",
        "<a\u{85}/>",
        "<a=b/>",
        "<a,b='c'/>",
        "<a b='c'></a\u{A0}>",
    ] {
        refused(tag, NotWellFormed);
    }
}

#[test]
fn quotes_hide_nothing() {
    // A `>` in quotes does not end a tag; a quote outside of a value begins nothing.
    refused("<a'>'></a>", NotWellFormed);
    refused("<a \"></a>\"></a>", NotWellFormed);
    refused("<a b='\"' \"='></a>", NotWellFormed);
    accepted("<a b='\"' c=\"'>\"></a>");
    accepted("<a>'</a>");
    accepted("<a>\"<b c=''/>'</a>");
}

#[test]
fn equal_attributes_are_refused() {
    refused("<a b='1' b='1'/>", NotWellFormed);
    refused("<a b='1' c='2' b='3'/>", NotWellFormed);
    refused("<a xmlns:p='urn:x' p:b='1' p:b='2'/>", NotWellFormed);
    refused(
        "<a xmlns:p='urn:x' xmlns:q='urn:x' p:b='1' q:b='2'/>",
        NotWellFormed,
    );
    refused(
        "<a xmlns:p='urn:x' xmlns:q='urn:&#120;' p:b='1' q:b='2'/>",
        NotWellFormed,
    );
    refused_here("<a xmlns='urn:x' xmlns='urn:x'/>", NotWellFormed);
    refused("<a xmlns:p='urn:x' xmlns:p='urn:y'/>", NotWellFormed);
    refused("<a xml:lang='en' xml:lang='de'/>", NotWellFormed);
    let xml = "xmlns:xml='http://www.w3.org/XML/1998/namespace'";
    refused(format!("<a {xml} {xml}/>"), NotWellFormed);
    accepted("<a xmlns:p='urn:x' xmlns:q='urn:y' p:b='1' q:b='2' b='3'/>");
    accepted("<a xmlns='urn:x' xmlns:p='urn:x' p:b='1' b='2'/>");
}

#[test]
fn reserved_and_empty_declarations_are_refused() {
    refused("<a xmlns:x=''/>", NotWellFormed);
    refused("<a xmlns:='urn:x'/>", NotWellFormed);
    refused("<a xmlns:xmlns='urn:x'/>", NotWellFormed);
    refused_here(
        "<a xmlns:p='http://www.w3.org/2000/xmlns/'/>",
        NotWellFormed,
    );
    refused_here("<a xmlns='http://www.w3.org/2000/xmlns/'/>", NotWellFormed);
    refused("<a xmlns:xml='urn:x'/>", NotWellFormed);
    refused(
        "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        NotWellFormed,
    );
    refused(
        "<a xmlns='http://www.w3.org/XML/1998/namespace'/>",
        NotWellFormed,
    );
    accepted("<a xmlns=''/>");
    accepted("<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang='en'/>");
}

#[test]
fn prefixes_that_are_not_declared_are_refused() {
    refused("<p:a/>", NotWellFormed);
    refused("<a p:b='1'/>", NotWellFormed);
    refused("<xmlns:a/>", NotWellFormed);
    refused(
        "<b xmlns:p='urn:x'><p:a/></b><p:a/>"
            .split_inclusive("</b>")
            .nth(1)
            .unwrap(),
        NotWellFormed,
    );
    refused("<a><b xmlns:p='urn:x'/><p:c/></a>", NotWellFormed);
    refused("<p:a xmlns:p='urn:x'></q:a>", NotWellFormed);
    accepted("<p:a xmlns:p='urn:x' p:b='1'><c xmlns:p='urn:y'><p:d/></c></p:a>");
}

#[test]
fn tags_that_do_not_match_are_refused() {
    refused("<a></b>", NotWellFormed);
    refused("<a><b></a></b>", NotWellFormed);
    refused("<a></A>", NotWellFormed);
    refused("<p:a xmlns:p='urn:x' xmlns:q='urn:x'></q:a>", NotWellFormed);
    accepted("<a  ></a \t\r\n>");
}

#[test]
fn comments_instructions_and_document_types_are_refused() {
    for restricted in [
        "<!-- c -->",
        "<!---->",
        "<!DOCTYPE a>",
        "<!doctype a>",
        "<!ENTITY x 'y'>",
        "<?p?>",
        "<?p x='1'?>",
        "<?xml version='1.0'?>",
        "<?xml-stylesheet href='x'?>",
        "<??>",
    ] {
        refused(restricted, RestrictedXml);
        refused(format!("<a>{restricted}</a>"), RestrictedXml);
        refused(format!("<a><b/>{restricted}"), RestrictedXml);
        header_refused(
            format!("<?xml version='1.0'?>{restricted}{HEADER}"),
            RestrictedXml,
        );
    }
    for restricted in ["<!-- c -->", "<!DOCTYPE a>", "<?p?>"] {
        header_refused(format!("{restricted}{HEADER}"), RestrictedXml);
    }
}

#[test]
fn input_that_is_not_utf_8_is_refused() {
    for bad in [
        &b"\xFF"[..],
        b"\xC0\x80",
        b"\xC3",
        b"\xED\xA0\x80",
        b"\xF4\x90\x80\x80",
        b"\xE2\x82",
        b"\x80",
    ] {
        refused([b"<a>", bad, b"</a>"].concat(), UnsupportedEncoding);
        refused([b"<a b='", bad, b"'/>"].concat(), UnsupportedEncoding);
        refused([b"<a", bad, b"/>"].concat(), UnsupportedEncoding);
    }
    let utf_16: Vec<u8> = HEADER.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(read(&utf_16, 5).1.is_some());
    assert!(read(&utf_16[1..], 5).1.is_some());
}

#[test]
fn a_byte_order_mark_is_text_and_refused() {
    // RFC 6120 §11.6: U+FEFF is never a byte order mark.
    header_refused(format!("\u{FEFF}{HEADER}"), StreamCondition::BadFormat);
    header_refused(
        format!("\u{FEFF}<?xml version='1.0'?>{HEADER}"),
        StreamCondition::BadFormat,
    );
    refused_here("\u{FEFF}<a/>", StreamCondition::BadFormat);
    accepted("<a>\u{FEFF}</a>");
}

#[test]
fn xml_declarations_are_read_as_the_grammar_says() {
    for declaration in [
        "<?xml version='1.0'?>",
        "<?xml version=\"1.0\" ?>\r\n",
        "<?xml  version = '1.0'\tencoding='UTF-8'?> ",
        "<?xml version='1.0' encoding='utf-8' standalone='yes'?>",
        "<?xml version='1.0' standalone=\"no\"?>",
    ] {
        let stream = format!("{declaration}{HEADER}");
        let (events, fault) = read(stream.as_bytes(), 3);
        assert_eq!((events.len(), fault), (1, None), "{declaration}");
    }
    for broken in [
        "<?xml?>",
        "<?xml ?>",
        "<?xml encoding='utf-8'?>",
        "<?xml version='1.0'encoding='utf-8'?>",
        "<?xml version='1.0' version='1.0'?>",
        "<?xml version='1.0' encoding='utf-8' encoding='utf-8'?>",
        "<?xml standalone='yes' version='1.0'?>",
        "<?xml version='1.0' standalone='yes' encoding='utf-8'?>",
        "<?xml version='1.0' standalone='maybe'?>",
        "<?xml version='1.0' x='y'?>",
        "<?xml version='1.0' ??>",
        "<?xml version='1.0'>",
        "<?xml version=1.0?>",
        "<?xml version='1.1'?>",
        "<?xml version='2.0'?>",
        "<?xml x:version='1.0'?>",
        "<?xmlversion='1.0'?>",
        "<?xml-version='1.0'?>",
    ] {
        header_refused(format!("{broken}{HEADER}"), NotWellFormed);
    }
    for encoding in ["UTF-16", "ISO-8859-1", "latin1", "", "utf8"] {
        let declaration = format!("<?xml version='1.0' encoding='{encoding}'?>");
        header_refused(format!("{declaration}{HEADER}"), UnsupportedEncoding);
    }
}

#[test]
fn only_a_stream_is_a_stream() {
    use StreamCondition::{BadFormat, ImproperAddressing, InvalidNamespace, UnsupportedVersion};
    let stream = |attributes: &str| {
        format!("<s:stream xmlns:s='http://etherx.jabber.org/streams' {attributes}>")
    };
    header_refused("<stream>", InvalidNamespace);
    header_refused("<stream xmlns='jabber:client'>", InvalidNamespace);
    header_refused(
        "<s:stream xmlns:s='http://etherx.jabber.org/Streams'>",
        InvalidNamespace,
    );
    header_refused(
        "<s:message xmlns:s='http://etherx.jabber.org/streams'>",
        InvalidNamespace,
    );
    header_refused("</stream:stream>", InvalidNamespace);
    header_refused("<?xml version='1.0'?>x", InvalidNamespace);
    header_refused("<stream:stream>", NotWellFormed);
    header_refused("x", BadFormat);
    header_refused(HEADER.replace('>', "/>"), BadFormat);
    header_refused(stream("to='@'"), ImproperAddressing);
    header_refused(stream("from='a b@c'"), ImproperAddressing);
    header_refused(stream("to=''"), ImproperAddressing);
    for version in [
        "", "1", "1.", ".0", "+1.0", "1.+0", "1.0.0", "a.b", "1.-0", " 1.0",
    ] {
        header_refused(stream(&format!("version='{version}'")), UnsupportedVersion);
    }
}

#[test]
fn an_opening_is_as_strict_as_a_stanza() {
    let opening = |more: &str| HEADER.replace("version", &format!("{more} version"));
    for (more, condition) in [
        ("a='<'", NotWellFormed),
        ("a='\u{1}'", NotWellFormed),
        ("a='&#1;'", NotWellFormed),
        ("a='\u{FFFE}'", NotWellFormed),
        ("a='&#xFFFE;'", NotWellFormed),
        ("a='&#xD800;'", NotWellFormed),
        ("a='&amp'", NotWellFormed),
        ("a='&x;'", RestrictedXml),
        ("1a=''", NotWellFormed),
        ("a", NotWellFormed),
        ("a=b", NotWellFormed),
        ("a=''b=''", NotWellFormed),
        ("a='' a=''", NotWellFormed),
        (
            "xmlns:p='urn:x' xmlns:q='urn:x' p:a='' q:a=''",
            NotWellFormed,
        ),
        ("xmlns:p=''", NotWellFormed),
        ("xmlns:1='urn:x'", NotWellFormed),
        ("xmlns:stream='urn:x'", NotWellFormed),
        ("xmlns:xmlns='urn:x'", NotWellFormed),
        ("xmlns:xml='urn:x'", NotWellFormed),
        ("p:a=''", NotWellFormed),
        ("a:b:c=''", NotWellFormed),
        ("/ a=''", NotWellFormed),
    ] {
        header_refused(opening(more), condition);
        let document = format!("{}{FOOTER}", opening(more));
        assert!(document_of_rxml(document.as_bytes()).is_err(), "{more}");
    }
    header_refused(opening("").replace(' ', "\u{A0}"), NotWellFormed);
    header_refused(
        [b"<?xml version='1.0'?>\xFF", HEADER.as_bytes()].concat(),
        StreamCondition::InvalidNamespace,
    );
    for between in ["\u{A0}", "\u{FEFF}", "&#32;", "x"] {
        let opening = format!("<?xml version='1.0'?>{between}{HEADER}");
        header_refused(opening, StreamCondition::InvalidNamespace);
    }
    header_refused(
        format!("<?xml version='1.0'?><![CDATA[]]>{HEADER}"),
        StreamCondition::BadFormat,
    );
}

#[test]
fn an_end_of_the_stream_inside_a_stanza_is_refused() {
    for open in ["<a>", "<a><b/>", "<a><b></b>", "<p:stream xmlns:p='urn:x'>"] {
        refused(format!("{open}{FOOTER}"), NotWellFormed);
    }
    for end in [
        "</stream:stream\u{A0}>",
        "</stream:stream a=''>",
        "</stream:stream/>",
    ] {
        refused_here(end, NotWellFormed);
    }
}

#[test]
fn the_stream_ends_with_its_own_tag_and_once() {
    let after = |end: &str| {
        let stream = format!("{HEADER}{end}");
        let fault = PORTIONS.map(|cut| read(stream.as_bytes(), cut).1);
        fault
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .map(|f| f[0].condition())
    };
    for wrong in [
        "</stream>",
        "</s:stream>",
        "</>",
        "</ stream:stream>",
        "</stream:streams>",
    ] {
        assert_eq!(after(wrong), Some(NotWellFormed), "{wrong}");
    }
    for more in ["<a/>", "x", FOOTER, "<!-- c -->"] {
        let closed = format!("{FOOTER} {more}");
        assert_eq!(after(&closed), Some(StreamCondition::BadFormat), "{more}");
    }
    assert_eq!(after("text"), Some(StreamCondition::BadFormat));
    assert_eq!(after("</stream:stream \n> "), None);
}

#[test]
fn without_a_root_there_is_no_closing_tag() {
    for end in ["</>", "</ >", "</a>", "</stream:stream>"] {
        let mut decoder = Decoder::without_root(Scope::client(), Limits::default());
        decoder.push(format!("<a/>{end}").as_bytes());
        assert!(matches!(
            decoder.next_event(),
            Ok(Some(StreamEvent::Element(_)))
        ));
        let fault = decoder.next_event().unwrap_err();
        assert_eq!(
            (fault.condition(), fault.offset),
            (NotWellFormed, 4),
            "{end}"
        );
    }
}

#[test]
fn one_element_is_one_element() {
    for bad in [
        "",
        " ",
        "x",
        "<a/><b/>",
        "<a></a><a>",
        "<a/>x",
        "x<a/>",
        "<a>",
        "<a><b></b>",
        "</a>",
        "<a/></a>",
        "&amp;<a/>",
        "<a/>&amp;",
        "<a",
        "<a b='",
        "<a/",
        "<a></a",
        "<a><![CDATA[</a>",
        "<a><!--</a>",
        "<a>&amp</a>",
        "<",
        ">",
    ] {
        let ours = parse_element(bad.as_bytes(), &Scope::empty(), &Limits::default());
        assert!(ours.is_err(), "{bad:?} is read as {ours:?}");
        assert!(document_of_rxml(bad.as_bytes()).is_err(), "{bad:?}");
    }
    for ours_alone in ["<![CDATA[]]><a/>", "<a/><![CDATA[]]>", "\u{FEFF}<a/>"] {
        let ours = parse_element(ours_alone.as_bytes(), &Scope::empty(), &Limits::default());
        assert!(ours.is_err(), "{ours_alone:?} is read as {ours:?}");
    }
    assert!(parse_element(b" <a/>\n", &Scope::empty(), &Limits::default()).is_ok());
}

#[test]
fn a_fault_is_final() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(format!("{HEADER}<a b='1' b='2'/><c/>{FOOTER}").as_bytes());
    assert!(matches!(
        decoder.next_event(),
        Ok(Some(StreamEvent::Open(_)))
    ));
    let fault = decoder.next_event().unwrap_err();
    for _ in 0..3 {
        assert_eq!(decoder.next_event(), Err(fault.clone()));
    }
    decoder.reset();
    assert_ne!(decoder.next_event(), Err(fault));
}

#[test]
fn a_fault_names_its_place_in_the_stream() {
    let offset = |input: &str| read(input.as_bytes(), usize::MAX).1.unwrap().offset;
    let start = HEADER.len() as u64;
    assert_eq!(offset(&format!("{HEADER}  <a/>\n<a>\u{1}</a>")), start + 10);
    assert_eq!(offset(&format!("{HEADER}<a/>x")), start + 4);
    assert_eq!(offset("<?xml version='1.0'?>\n<a b='\u{2}'>"), 28);
}

#[test]
fn names_are_judged_as_rxml_judges_them() {
    // rxml leaves out the range FDF0 to FFFD of XML 1.0 §2.3, production 4.
    let ours_alone = '\u{FDF0}'..='\u{FFFD}';
    let edges = ['\u{10000}', '\u{EFFFF}', '\u{F0000}', char::MAX];
    for c in ('\0'..='\u{FFFF}').chain(edges) {
        for name in [format!("{c}"), format!("a{c}")] {
            let ours = Element::try_new(&name, "urn:x").is_ok();
            let theirs = rxml::NcName::try_from(name.as_str()).is_ok();
            assert_eq!(ours, theirs || ours_alone.contains(&c), "{name:?}");
        }
    }
}
