//! Pages in the man(7) macros, which groff and mandoc both read.

use std::fmt::Write as _;

/// A page that grows from its top to its end.
pub struct Page(String);

impl Page {
    /// With its title line and section NAME.
    pub fn new(name: &str, section: u8, about: &str) -> Self {
        let mut page =
            Page(".\\\" Made from the program's own tables; do not edit. See host/tests/manual.\n".to_owned());
        let version = env!("CARGO_PKG_VERSION");
        page.raw(&format!(".TH {} {section} \"\" \"Postrider {version}\" \"Postrider\"", name.to_uppercase()));
        page.raw(".nh\n.ad l");
        page.section("NAME");
        page.raw(&format!("{} \\- {}", text(name), text(about)));
        page
    }

    /// `.SH`.
    pub fn section(&mut self, title: &str) {
        self.raw(&format!(".SH {title}"));
    }

    /// `.SS`; the title is markup.
    pub fn subsection(&mut self, title: &str) {
        self.raw(&format!(".SS {title}"));
    }

    /// Paragraphs, with a blank line between two of them.
    pub fn paragraphs(&mut self, source: &str) {
        for paragraph in source.split("\n\n") {
            self.raw(".PP");
            self.sentences(paragraph);
        }
    }

    /// An entry of a list: a tag, which is markup, and what it means.
    pub fn entry(&mut self, tag: &str, meaning: &str) {
        self.raw(&format!(".TP\n{tag}"));
        self.sentences(meaning);
    }

    /// One more line of the entry before it.
    pub fn line(&mut self, source: &str) {
        self.raw(".br");
        self.sentences(source);
    }

    /// What follows stands deeper, until [`Page::outer`].
    pub fn inner(&mut self) {
        self.raw(".RS");
    }

    /// Ends [`Page::inner`].
    pub fn outer(&mut self) {
        self.raw(".RE");
    }

    /// Lines as they are.
    pub fn literal(&mut self, lines: &str) {
        self.raw(".PP\n.RS 4\n.nf");
        for line in lines.lines() {
            self.raw(&text(line));
        }
        self.raw(".fi\n.RE");
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }

    fn sentences(&mut self, source: &str) {
        let words: Vec<&str> = source.split_whitespace().collect();
        let mut line = String::new();
        for word in words {
            // A line that ended inside of `code` would leave it open.
            let open = !line.matches('`').count().is_multiple_of(2);
            if !open && !line.is_empty() && line.len() + word.len() >= 90 {
                self.raw(&text(&std::mem::take(&mut line)));
            }
            let _ = write!(line, "{}{word}", if line.is_empty() { "" } else { " " });
        }
        if !line.is_empty() {
            self.raw(&text(&line));
        }
    }

    fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
        self.0.push('\n');
    }
}

/// Bold.
pub fn bold(source: &str) -> String {
    format!("\\fB{}\\fR", text(source).trim_start_matches("\\&"))
}

/// Italic: what somebody has to put in.
pub fn italic(source: &str) -> String {
    format!("\\fI{}\\fR", text(source).trim_start_matches("\\&"))
}

/// Text as a line of markup; `code` becomes bold.
pub fn text(source: &str) -> String {
    let mut markup = String::new();
    let mut code = false;
    for c in source.chars() {
        match c {
            '\\' => markup.push_str("\\e"),
            '-' => markup.push_str("\\-"),
            '\'' => markup.push_str("\\(aq"),
            '^' => markup.push_str("\\(ha"),
            '~' => markup.push_str("\\(ti"),
            '…' => markup.push_str("\\&..."),
            '`' => {
                code = !code;
                markup.push_str(if code { "\\fB" } else { "\\fR" });
            }
            c if c.is_ascii() => markup.push(c),
            c => {
                let _ = write!(markup, "\\[u{:04X}]", u32::from(c));
            }
        }
    }
    // A line that begins with a period would be a request.
    if markup.starts_with('.') { format!("\\&{markup}") } else { markup }
}
