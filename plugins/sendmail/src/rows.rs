//! Hands rows to the host, many at a time.

use postrider_plugin_api::sdk::{PlanSink, Result, Row};

/// Collects the rows of the table that was begun last.
pub(crate) struct Rows<'s> {
    sink: &'s mut dyn PlanSink,
    text: String,
    /// Ends of key and value in `text`.
    ends: Vec<(usize, usize)>,
    column: u16,
}

impl<'s> Rows<'s> {
    const BATCH: usize = 1024;

    /// Values begin in this column of the text file.
    pub(crate) fn new(sink: &'s mut dyn PlanSink, column: u16) -> Self {
        Rows { sink, text: String::new(), ends: Vec::new(), column }
    }

    /// Key and value, each given in parts.
    pub(crate) fn add(&mut self, key: &[&str], value: &[&str]) -> Result<()> {
        self.text.extend(key.iter().copied());
        let key_end = self.text.len();
        self.text.extend(value.iter().copied());
        self.ends.push((key_end, self.text.len()));
        if self.ends.len() < Self::BATCH {
            Ok(())
        } else {
            self.flush()
        }
    }

    /// To be called when all are added.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let mut begin = 0;
        let mut rows = Vec::with_capacity(self.ends.len());
        for &(key_end, value_end) in &self.ends {
            let (key, value) = (&self.text[begin..key_end], &self.text[key_end..value_end]);
            rows.push(Row::new(key, value).with_column(self.column));
            begin = value_end;
        }
        if !rows.is_empty() {
            self.sink.rows(&rows)?;
        }
        self.text.clear();
        self.ends.clear();
        Ok(())
    }
}
