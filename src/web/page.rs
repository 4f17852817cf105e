//! The page itself: three files, compiled in, that ask for nothing outside of this program.

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

const HTML: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

const fn of(kind: &'static str) -> [(HeaderName, &'static str); 1] {
    [(CONTENT_TYPE, kind)]
}

/// Below this path, which has no slash at its end.
pub fn routes<S: Clone + Send + Sync + 'static>(base: &str) -> Router<S> {
    Router::new()
        .route(&format!("{base}/"), get(async || (of("text/html; charset=utf-8"), HTML)))
        .route(&format!("{base}/page.css"), get(async || (of("text/css; charset=utf-8"), STYLE)))
        .route(&format!("{base}/page.js"), get(async || (of("text/javascript; charset=utf-8"), SCRIPT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_no_address_outside_and_has_no_script_or_style_in_its_text() {
        for (name, text) in [("index.html", HTML), ("page.css", STYLE), ("page.js", SCRIPT)] {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{name}");
            assert!(!text.contains("url(") && !text.contains("@import"), "{name}");
        }
        assert!(!HTML.contains("<style") && !HTML.contains("style=") && !HTML.contains(" onclick"));
        assert_eq!(HTML.matches("<script").count(), 1);
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval("), "what others wrote is text, never markup");
    }
}
