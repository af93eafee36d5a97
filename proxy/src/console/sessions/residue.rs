//! What a session left behind on its host, as its agent found it.

use tidegate_common::residue::Residue;
use tidegate_common::unseen::printable;

use crate::console::table::Table;

/// What the agent found after the session; nothing when no report came.
pub(super) fn left_behind(residue: Option<&Residue>, columns: Option<usize>) -> String {
    let Some(residue) = residue else { return String::new() };
    let mut text = if residue.findings.is_empty() {
        "\nLeft behind: nothing\n".to_owned()
    } else {
        let mut table = Table::new(["KIND", "CHANGE", "WHAT", "DETAIL"]);
        for finding in &residue.findings {
            let (kind, change) = (finding.kind.to_string(), finding.change.to_string());
            table.row([kind, change, finding.what.clone(), finding.detail.clone()]);
        }
        format!("\nLeft behind, as the host differs from before:\n{}\n", table.render(columns))
    };
    if residue.more > 0 {
        text.push_str(&format!("and {} more\n", residue.more));
    }
    for unseen in &residue.unseen {
        let unseen: String = unseen.chars().map(printable).collect();
        text.push_str(&format!("Not looked at: {unseen}\n"));
    }
    text
}
