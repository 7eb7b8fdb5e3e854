//! CSV with a header, its columns in any order.

use std::io::BufRead;

use crate::replay::lines::Lines;
use crate::replay::{Problem, ReplayError, excerpt};

/// The columns of a kind of file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) names: &'static [&'static str],
    /// The first so many must be there.
    pub(crate) required: usize,
    /// All of them, as a header.
    pub(crate) header: &'static str,
}

/// The rows of a file.
#[derive(Debug)]
pub(crate) struct Table<R> {
    lines: Lines<R>,
    /// Where each column stands.
    places: Vec<Option<usize>>,
    width: usize,
}

/// A row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) number: u64,
    /// In the order of [`Columns::names`].
    fields: Vec<String>,
}

impl Row {
    /// The field of a column, by its place in [`Columns::names`]; empty where there is none.
    pub(crate) fn get(&self, column: usize) -> &str {
        self.fields.get(column).map_or("", String::as_str)
    }
}

impl<R: BufRead> Table<R> {
    pub(crate) fn open(input: R, columns: Columns) -> Result<Self, ReplayError> {
        let mut lines = Lines::new(input);
        let Some((line, header)) = lines.next_line().transpose()? else {
            return Err(ReplayError { line: lines.number(), problem: Problem::NoHeader(columns.header) });
        };
        let (places, width) = read_header(header, columns).map_err(|problem| ReplayError { line, problem })?;
        Ok(Self { lines, places, width })
    }

    pub(crate) fn next_row(&mut self) -> Option<Result<Row, ReplayError>> {
        let (number, line) = match self.lines.next_line()? {
            Ok(next) => next,
            Err(error) => return Some(Err(error)),
        };
        let fields = split(line).and_then(|mut fields| {
            if fields.len() != self.width {
                return Err(Problem::Fields { found: fields.len(), expected: self.width });
            }
            let mut take = |place: usize| fields.get_mut(place).map(std::mem::take);
            Ok(self.places.iter().map(|place| place.and_then(&mut take).unwrap_or_default()).collect())
        });
        Some(fields.map(|fields| Row { number, fields }).map_err(|problem| ReplayError { line: number, problem }))
    }
}

fn read_header(header: &str, columns: Columns) -> Result<(Vec<Option<usize>>, usize), Problem> {
    let found: Vec<String> = split(header)?.iter().map(|name| name.to_ascii_lowercase()).collect();
    // A column that is ignored might have told two crossings apart.
    for (i, name) in found.iter().enumerate() {
        let repeated = found.iter().take(i).any(|earlier| earlier == name);
        if repeated || !columns.names.contains(&name.as_str()) {
            return Err(Problem::StrayColumn { column: excerpt(name), repeated, expected: columns.header });
        }
    }
    let places: Vec<Option<usize>> = columns.names.iter().map(|name| found.iter().position(|one| one == name)).collect();
    let missing = columns.names.iter().zip(&places).take(columns.required).find(|(_, place)| place.is_none());
    if let Some((column, _)) = missing {
        return Err(Problem::MissingColumn { column, expected: columns.header });
    }
    Ok((places, found.len()))
}

/// The fields of a line, trimmed. A quote ends on its line, so that a stray one cannot swallow the rest of the file.
fn split(line: &str) -> Result<Vec<String>, Problem> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field).trim().to_owned()),
            other => field.push(other),
        }
    }
    if quoted {
        return Err(Problem::OpenQuote);
    }
    fields.push(field.trim().to_owned());
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_bare_or_quoted() {
        assert_eq!(split(r#"a, "b" ,"c,d","say ""hi""",,"#).unwrap(), ["a", "b", "c,d", "say \"hi\"", "", ""]);
        assert_eq!(split(r#"a,"b"#), Err(Problem::OpenQuote));
    }
}
