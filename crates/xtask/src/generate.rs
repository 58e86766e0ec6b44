//! Documents that the code itself knows best: extensions, configuration, layers.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::layers;
use crate::process;
use crate::workspace::Workspace;

const ARCHITECTURE: &str = "docs/architecture.md";
const LAYERS_BEGIN: &str = "<!-- layers: written by `cargo xtask gen` -->\n";
const LAYERS_END: &str = "<!-- /layers -->";

/// One extension, as `jackdaw xeps` prints it.
#[derive(Debug, Deserialize)]
struct Xep {
    number: u16,
    name: String,
    version: String,
    status: String,
    features: Vec<String>,
}

/// A file and the text that belongs into it.
struct Document {
    path: &'static str,
    text: String,
}

/// Builds the server without optimisation, enough to ask it for its documents.
pub fn development_binary(workspace: &Workspace) -> Result<PathBuf> {
    let mut build = process::cargo();
    build.args(["build", "--quiet", "--package=jackdaw-server"]).current_dir(workspace.root());
    process::run(&mut build)?;
    Ok(workspace.target().join("debug/jackdaw"))
}

/// Writes every generated document.
pub fn write(workspace: &Workspace) -> Result<()> {
    for Document { path, text } in documents(workspace, &development_binary(workspace)?)? {
        let path = workspace.root().join(path);
        std::fs::write(&path, text).map_err(Error::file(path))?;
    }
    Ok(())
}

/// Fails where a document says something else than the code.
pub fn check(workspace: &Workspace, binary: &Path) -> Result<()> {
    let mut stale = Vec::new();
    for Document { path, text } in documents(workspace, binary)? {
        let written = std::fs::read_to_string(workspace.root().join(path)).unwrap_or_default();
        if written != text {
            stale.push(format!("{path} is stale; run `cargo xtask gen` and commit it"));
        }
    }
    Error::unless_empty("gen", stale)
}

fn documents(workspace: &Workspace, binary: &Path) -> Result<Vec<Document>> {
    let list = process::output(process::command(binary).arg("xeps"))?;
    let mut xeps: Vec<Xep> = serde_json::from_str(&list)
        .map_err(|error| Error::Answer(format!("`jackdaw xeps`: {error}")))?;
    xeps.sort_by_key(|xep| xep.number);
    let configuration = process::output(process::command(binary).args(["config", "markdown"]))?;
    Ok(vec![
        Document { path: "docs/xeps.md", text: xeps_page(&xeps) },
        Document { path: "docs/doap.xml", text: doap(&xeps) },
        Document { path: "docs/configuration.md", text: configuration },
        Document { path: ARCHITECTURE, text: architecture(workspace)? },
    ])
}

fn xeps_page(xeps: &[Xep]) -> String {
    let mut page = String::from(
        "# Extensions\n\n\
         Written by `cargo xtask gen` from the `INFO` of each extension; do not edit.\n\n\
         | XEP | name | version | status | features |\n|---|---|---|---|---|\n",
    );
    for Xep { number, name, version, status, features } in xeps {
        let features: Vec<String> = features.iter().map(|feature| format!("`{feature}`")).collect();
        page.push_str(&format!(
            "| [{number:04}](https://xmpp.org/extensions/xep-{number:04}.html) | {name} | {version} | {status} | {} |\n",
            features.join(" ")
        ));
    }
    page
}

/// The project's description for xmpp.org's list of software (XEP-0453).
fn doap(xeps: &[Xep]) -> String {
    let mut text = String::from(DOAP_HEAD);
    for rfc in [6120, 6121, 7622, 7590] {
        text.push_str(&format!(
            "    <implements rdf:resource=\"https://www.rfc-editor.org/info/rfc{rfc}\"/>\n"
        ));
    }
    for Xep { number, version, status, .. } in xeps {
        text.push_str(&format!(
            "    <implements>\n      <xmpp:SupportedXep>\n        \
             <xmpp:xep rdf:resource=\"https://xmpp.org/extensions/xep-{number:04}.html\"/>\n        \
             <xmpp:version>{version}</xmpp:version>\n        \
             <xmpp:status>{status}</xmpp:status>\n      \
             </xmpp:SupportedXep>\n    </implements>\n"
        ));
    }
    text.push_str("  </Project>\n</rdf:RDF>\n");
    text
}

const DOAP_HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by `cargo xtask gen` from the `INFO` of each extension; do not edit. -->
<rdf:RDF xmlns="http://usefulinc.com/ns/doap#"
         xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
         xmlns:xmpp="https://linkmauve.fr/ns/xmpp-doap#">
  <Project>
    <name>Jackdaw</name>
    <shortdesc xml:lang="en">A clustered XMPP server</shortdesc>
    <programming-language>Rust</programming-language>
    <os>Linux</os>
    <license rdf:resource="https://www.apache.org/licenses/LICENSE-2.0"/>
    <category rdf:resource="https://linkmauve.fr/ns/xmpp-doap#category-server"/>
"#;

fn architecture(workspace: &Workspace) -> Result<String> {
    let text = workspace.read(Path::new(ARCHITECTURE))?.unwrap_or_default();
    between_markers(&text, &layers::diagram(workspace)?).ok_or_else(|| {
        Error::Answer(format!(
            "{ARCHITECTURE} has no place for the diagram of the layers; write these two lines into it:\n\
             {LAYERS_BEGIN}{LAYERS_END}"
        ))
    })
}

fn between_markers(text: &str, diagram: &str) -> Option<String> {
    let (before, rest) = text.split_once(LAYERS_BEGIN)?;
    let (_, after) = rest.split_once(LAYERS_END)?;
    Some([before, LAYERS_BEGIN, diagram, LAYERS_END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let text = format!("a\n{LAYERS_BEGIN}old{LAYERS_END}\nb");
        let new = between_markers(&text, "new\n").unwrap();
        assert_eq!(new, format!("a\n{LAYERS_BEGIN}new\n{LAYERS_END}\nb"));
        assert_eq!(between_markers("nothing here", "new"), None);
    }
}
