//! A text as HTML: no script, no picture, nothing that is loaded.

use std::fmt::Write as _;

use super::Text;

/// The whole page.
pub(super) fn page(text: &Text) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{}</title></head>\n\
         <body style=\"font-family: sans-serif\">\n<p>{}</p>\n",
        escaped(&text.subject()),
        escaped(&text.what)
    );
    if !text.facts.is_empty() {
        page.push_str("<table>\n");
        for (label, values) in &text.facts {
            let values: Vec<String> = values.iter().map(|value| escaped(value)).collect();
            let _ = writeln!(
                page,
                "<tr><th align=\"left\" valign=\"top\">{}</th><td>{}</td></tr>",
                escaped(label),
                values.join("<br>")
            );
        }
        page.push_str("</table>\n");
    }
    for (what, command) in &text.commands {
        let _ = write!(page, "<p>{}</p>\n<pre>{}</pre>\n", escaped(what), escaped(command));
    }
    let _ = write!(page, "<p><small>{}</small></p>\n</body></html>\n", escaped(&text.from));
    page
}

/// Text between tags or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}
