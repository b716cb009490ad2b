//! The table printer.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

/// What a table with a column of words is set in: a terminal as most people have it.
const WIDTH: u16 = 100;

/// A column's heading and how it is set.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Text, set left.
    Text(&'static str),
    /// A number with its unit, set right.
    Number(&'static str),
    /// Many words: broken at blanks where the table would be wider than 100 characters.
    Words(&'static str),
}

/// Rows below headings, columns two blanks apart, without lines and without trailing blanks.
///
/// Plain text whatever it is printed on, so that it can be cut and compared.
pub fn render(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|column| match column {
        Column::Text(heading) | Column::Number(heading) | Column::Words(heading) => *heading,
    }));
    if columns.iter().any(|column| matches!(column, Column::Words(_))) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    }
    table.add_rows(rows);
    for (column, setting) in columns.iter().zip(table.column_iter_mut()) {
        setting.set_padding((0, 2));
        if matches!(column, Column::Number(_)) {
            setting.set_cell_alignment(CellAlignment::Right);
        }
        if !matches!(column, Column::Words(_)) {
            setting.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_lines_end_where_text_ends() {
        let rows = [vec!["build".to_owned(), "12.0 s".to_owned()], vec!["install".to_owned(), "0.4 s".to_owned()]];
        let text = render(&[Column::Text("stage"), Column::Number("time")], rows);
        assert_eq!(text, "stage      time\nbuild    12.0 s\ninstall   0.4 s\n");
    }

    #[test]
    fn many_words_are_broken_at_blanks() {
        let attributes = (1..=30).map(|number| format!("attribute{number}")).collect::<Vec<_>>().join(" ");
        let rows = [vec!["configure".to_owned(), attributes.clone(), "1.0 s".to_owned()]];
        let text = render(&[Column::Text("stage"), Column::Words("attributes"), Column::Number("time")], rows);
        assert!(text.lines().count() > 4 && text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let words: Vec<&str> = text.split_whitespace().filter(|word| word.starts_with("attribute")).skip(1).collect();
        assert_eq!(words.join(" "), attributes);
    }
}
