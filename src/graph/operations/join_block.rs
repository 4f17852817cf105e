//! The join block of an online meeting. Teams keeps it in the event's body, between two lines of underscores; a new body without
//! it takes the link away from everybody (graph-lifecycle 1.1). So it is put behind the new content, or the change is refused.

use crate::job::{Body, BodyType};

/// A line of at least so many underscores is one of the block's borders.
const BORDER: &str = "____________________";

/// The new body with the meeting's block behind it. None: there is no telling where the block is.
pub(super) fn kept(new: &Body, stored: Option<&Body>, join_url: Option<&str>) -> Option<Body> {
    let join_url = join_url?;
    if new.content.contains(join_url) || new.content.contains(&escaped(join_url)) {
        return Some(new.clone());
    }
    let block = block(&stored?.content, join_url)?;
    let content = match new.kind {
        BodyType::Html => new.content.clone(),
        BodyType::Text => as_html(&new.content),
    };
    // Changing the case of ASCII letters moves no byte.
    let end = content.to_ascii_lowercase().rfind("</body").unwrap_or(content.len());
    let (before, after) = content.split_at(end);
    Some(Body { content: format!("{before}{block}{after}"), kind: BodyType::Html })
}

/// From the element with the first border to the end of the one with the last, with the link between them.
fn block<'s>(stored: &'s str, join_url: &str) -> Option<&'s str> {
    // The link may stand there as HTML writes it.
    let link = stored.find(join_url).or_else(|| stored.find(&escaped(join_url)))?;
    let first = stored[..link].rfind(BORDER)?;
    let begin = stored[..first].rfind("<div").or_else(|| stored[..first].rfind('<'))?;
    let last = link + stored[link..].find(BORDER)?;
    let end = last + stored[last..].find("</div>").map(|at| at + "</div>".len())?;
    Some(&stored[begin..end])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn as_html(text: &str) -> String {
    format!("<div>{}</div>", escaped(text).replace("\r\n", "\n").replace('\n', "<br>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://teams.microsoft.com/l/meetup-join/19%3ameeting?context=1&x=2";

    fn body(content: &str, kind: BodyType) -> Body {
        Body { content: content.to_owned(), kind }
    }

    fn stored() -> Body {
        let line = "_".repeat(80);
        let url = URL.replace('&', "&amp;");
        let html = format!(
            "<html><head></head><body><div>Old words</div><br><div style=\"width:100%\"><span>{line}</span></div>\
             <div><a href=\"{url}\">Join</a></div><div><span>{line}</span></div></body></html>"
        );
        body(&html, BodyType::Html)
    }

    #[test]
    fn the_block_stays_behind_the_new_content_and_the_old_content_goes() {
        let line = "_".repeat(80);
        for (new, content) in [
            (body("<p>New</p>", BodyType::Html), "<p>New</p>"),
            (
                body("<html><BODY class=x><p>New</p></BODY></html>", BodyType::Html),
                "<html><BODY class=x><p>New</p>|</BODY></html>",
            ),
            (body("1 < 2\nand more", BodyType::Text), "<div>1 &lt; 2<br>and more</div>"),
        ] {
            let kept = kept(&new, Some(&stored()), Some(URL));
            let block = format!(
                "<div style=\"width:100%\"><span>{line}</span></div><div><a href=\"{}\">Join</a></div>\
                 <div><span>{line}</span></div>",
                URL.replace('&', "&amp;")
            );
            let (before, after) = content.split_once('|').unwrap_or((content, ""));
            let expected = format!("{before}{block}{after}");
            assert_eq!(kept.map(|body| (body.content, body.kind)), Some((expected, BodyType::Html)));
        }
    }

    #[test]
    fn a_body_that_has_the_link_goes_as_it_is_and_without_a_block_or_a_link_there_is_no_telling() {
        let own = body(&format!("Come: {URL}"), BodyType::Text);
        assert_eq!(kept(&own, None, Some(URL)), Some(own));
        let new = body("New", BodyType::Text);
        assert_eq!(kept(&new, Some(&stored()), None), None);
        assert_eq!(kept(&new, None, Some(URL)), None);
        assert_eq!(kept(&new, Some(&body("<p>no block</p>", BodyType::Html)), Some(URL)), None);
        let one_line = stored().content.replacen(&"_".repeat(80), "", 1);
        assert_eq!(kept(&new, Some(&body(&one_line, BodyType::Html)), Some(URL)), None);
    }
}
