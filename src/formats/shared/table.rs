//! Tables as kubectl prints them: a header of upper-case names, cells below it.
//!
//! A nil cell is blank, so cells are cut at the offsets of the header (kubernetes/cli-runtime `pkg/printers/tableprinter.go`). Pasted tables lose
//! their columns; then cells are told apart by single spaces, as far as that can be done.

/// Names of columns that have a space, the longer first.
const TWO_WORDS: [&str; 19] = [
    "SUBNET CIDR V6",
    "LAST SEEN",
    "FIRST SEEN",
    "NOMINATED NODE",
    "READINESS GATES",
    "NODE SELECTOR",
    "CREATED AT",
    "REQUESTED IPS",
    "AVAILABILITY ZONE",
    "ALLOCATED IPS",
    "ASSIGNED IPS",
    "SUBNET CIDR",
    "NC ID",
    "NC MODE",
    "NC TYPE",
    "NC VERSION",
    "POD ID",
    "NODE NAME",
    "CONTAINER ID",
];

/// Columns that begin a table.
const FIRST: [&str; 6] = ["NAME", "NAMESPACE", "LAST SEEN", "POD ID", "CONTAINER", "CONTAINER ID"];

/// The header of a table.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::formats) struct TableHeader {
    columns: Vec<(String, usize)>,
    aligned: bool,
}

impl TableHeader {
    /// Whether a line is one.
    pub(in crate::formats) fn parse(line: &[u8]) -> Option<Self> {
        if line.len() > 2000 || !line.first()?.is_ascii_uppercase() {
            return None;
        }
        let line = std::str::from_utf8(line).ok()?.trim_end();
        let upper = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.split('(').next().is_some_and(|name| {
                    name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-/_".contains(&b))
                })
        };
        if !line.split_whitespace().all(upper) {
            return None;
        }
        let aligned = line.contains("  ");
        let columns = if aligned { by_gaps(line) } else { by_words(line) };
        let first = columns.first().map(|(name, _)| name.as_str())?;
        (columns.len() >= 2 && FIRST.contains(&first)).then_some(Self { columns, aligned })
    }

    /// The columns that rows without a header must have.
    pub(in crate::formats) fn of(names: impl Iterator<Item = String>) -> Self {
        Self { columns: names.map(|name| (name, 0)).collect(), aligned: false }
    }

    /// Which column has this name.
    pub(in crate::formats) fn position(&self, name: &str) -> Option<usize> {
        self.at(name)
    }

    /// Whether there is a column of this name.
    pub(in crate::formats) fn has(&self, name: &str) -> bool {
        self.at(name).is_some()
    }

    fn at(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(column, _)| column == name)
    }

    /// How many columns.
    pub(in crate::formats) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The cells of a row; `None` when it does not fit.
    pub(in crate::formats) fn row<'a>(&'a self, line: &'a str) -> Option<TableRow<'a>> {
        let line = line.trim_end();
        let cells = self.sliced(line).or_else(|| self.gapped(line)).or_else(|| self.worded(line))?;
        Some(TableRow { header: self, cells })
    }

    /// At the offsets of the header: each cell must begin after a space.
    fn sliced<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        if !self.aligned {
            return None;
        }
        let mut cells = Vec::with_capacity(self.columns.len());
        for (at, (_, start)) in self.columns.iter().enumerate() {
            let end = self.columns.get(at + 1).map_or(line.len(), |(_, next)| (*next).min(line.len()));
            let start = (*start).min(line.len());
            if start > 0 && start < line.len() && line.as_bytes().get(start - 1) != Some(&b' ') {
                return None;
            }
            cells.push(line.get(start..end)?.trim());
        }
        Some(cells)
    }

    /// By gaps of two spaces, when there are as many cells as columns.
    fn gapped<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        (cells.len() == self.columns.len()).then_some(cells)
    }

    /// By single spaces: what stands in brackets belongs to the cell before it, and a cell that may hold
    /// spaces takes what is too much.
    fn worded<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let mut cells: Vec<&'a str> = Vec::new();
        let mut open = false;
        for word in line.split_whitespace() {
            if (open || word.starts_with('(')) && !cells.is_empty() {
                let last = cells.pop()?;
                let start = offset(line, last)?;
                cells.push(line.get(start..offset(line, word)? + word.len())?);
                open = !word.ends_with(')');
            } else {
                cells.push(word);
            }
        }
        let more = cells.len().checked_sub(self.columns.len())?;
        if more == 0 {
            return Some(cells);
        }
        let wide = self.at("MESSAGE").or_else(|| self.at("OS-IMAGE")).or_else(|| self.at("LAST SEEN"))?;
        let (first, last) = (cells.get(wide)?, cells.get(wide + more)?);
        let joined = line.get(offset(line, first)?..offset(line, last)? + last.len())?;
        cells.splice(wide..=wide + more, [joined]);
        Some(cells)
    }
}

/// Where a part of a text stands in it.
fn offset(text: &str, part: &str) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (at <= text.len()).then_some(at)
}

fn by_gaps(line: &str) -> Vec<(String, usize)> {
    let mut columns = Vec::new();
    let mut at = 0;
    for part in line.split("  ") {
        let name = part.trim_start();
        if !name.is_empty() {
            columns.push((name.trim_end().to_owned(), at + part.len() - name.len()));
        }
        at += part.len() + 2;
    }
    columns
}

fn by_words(line: &str) -> Vec<(String, usize)> {
    let mut columns = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return columns;
        }
        let whole = |name: &&&str| {
            rest.strip_prefix(**name).is_some_and(|after| after.is_empty() || after.starts_with(' '))
        };
        let name = TWO_WORDS.iter().find(whole).copied();
        let name = name.unwrap_or_else(|| rest.split(' ').next().unwrap_or(rest));
        columns.push((name.to_owned(), line.len() - rest.len()));
        rest = rest.get(name.len()..).unwrap_or_default();
    }
}

/// A row.
pub(in crate::formats) struct TableRow<'a> {
    header: &'a TableHeader,
    cells: Vec<&'a str>,
}

impl<'a> TableRow<'a> {
    /// Whether the table has this column.
    pub(in crate::formats) fn has(&self, column: &str) -> bool {
        self.header.has(column)
    }

    /// A cell; `""` for `<none>`, a blank, or a column that is not there.
    pub(in crate::formats) fn get(&self, column: &str) -> &'a str {
        let cell = self.header.at(column).and_then(|at| self.cells.get(at)).copied().unwrap_or_default();
        if matches!(cell, "<none>" | "<unset>" | "<unknown>") { "" } else { cell }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_cells_do_not_shift_the_others() {
        let header = TableHeader::parse(b"NAMESPACE   NAME    USERS   GROUPS      SERVICEACCOUNTS").unwrap();
        let row = header.row("ci          clean                       ci/cleaner").unwrap();
        assert_eq!(
            (row.get("NAME"), row.get("USERS"), row.get("SERVICEACCOUNTS")),
            ("clean", "", "ci/cleaner")
        );
    }

    #[test]
    fn restarts_with_their_age_are_one_cell_even_when_pasted() {
        let header =
            TableHeader::parse(b"NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES")
                .unwrap();
        let row =
            header.row("cart-1 0/1 CrashLoopBackOff 3 (5m ago) 7d 10.244.0.9 aks-1 <none> <none>").unwrap();
        assert_eq!((row.get("RESTARTS"), row.get("NODE")), ("3 (5m ago)", "aks-1"));
    }

    #[test]
    fn an_image_name_with_spaces_is_one_cell_even_when_pasted() {
        let header = TableHeader::parse(b"NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME").unwrap();
        let row = header.row("aks-1 Ready <none> 5d v1.33.1 10.0.0.4 <none> Ubuntu 22.04.5 LTS 5.15.0-1089-azure containerd://1.7.27").unwrap();
        assert_eq!(
            (row.get("OS-IMAGE"), row.get("CONTAINER-RUNTIME")),
            ("Ubuntu 22.04.5 LTS", "containerd://1.7.27")
        );
    }

    #[test]
    fn a_row_whose_wide_cell_broke_the_columns_is_read_by_its_gaps() {
        let header = TableHeader::parse(b"NAME   READY   STATUS").unwrap();
        let row = header.row("a-very-long-name   1/1   Running").unwrap();
        assert_eq!(row.get("STATUS"), "Running");
    }

    #[test]
    fn prose_is_no_header() {
        assert!(TableHeader::parse(b"NAME of the cluster").is_none());
        assert!(TableHeader::parse(b"ERROR IN LINE").is_none());
        assert!(TableHeader::parse(b"NAME").is_none());
    }
}
