//! The code's own names: a type has one to itself, and verbs of saying name nothing.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::common;

/// "Who said what" fits every variable and so tells nothing of any.
const VERBS_OF_SAYING: [&str; 6] = ["told", "said", "shown", "asked", "own", "one"];

/// All tokens of the program's files, each as a flat list: identifiers and punctuation, groups opened.
fn sources() -> Vec<(String, Vec<TokenTree>)> {
    let src = common::root().join("src");
    common::files(&src)
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            let tokens: TokenStream = text.parse().unwrap();
            let name = file.strip_prefix(common::root()).unwrap().to_string_lossy().into_owned();
            let mut flat = Vec::new();
            flatten(tokens, &mut flat);
            (name, flat)
        })
        .collect()
}

fn flatten(tokens: TokenStream, into: &mut Vec<TokenTree>) {
    for token in tokens {
        let TokenTree::Group(group) = token else {
            into.push(token);
            continue;
        };
        // A group stays as a mark of itself: what stands before it (`type Value = …;` in an `impl`) is told by it.
        let empty = proc_macro2::Group::new(Delimiter::None, TokenStream::new());
        into.push(TokenTree::Group(empty.clone()));
        flatten(group.stream(), into);
        into.push(TokenTree::Group(empty));
    }
}

#[test]
fn a_type_has_its_name_to_itself() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, tokens) in sources() {
        for pair in tokens.windows(3) {
            let [TokenTree::Ident(keyword), TokenTree::Ident(name), after] = pair else { continue };
            // `type X = …` names an associated type as often as a type of its own, and never a second struct.
            let defines = ["struct", "enum", "union"].iter().any(|word| keyword == word)
                || keyword == "trait"
                || keyword == "type" && matches!(after, TokenTree::Punct(punct) if punct.as_char() == '<');
            if defines {
                places.entry(name.to_string()).or_default().push(file.clone());
            }
        }
    }
    assert!(places.len() > 300, "only {} types were found", places.len());
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "types that share a name: {places:#?}");
}

#[test]
fn verbs_of_saying_are_no_names() {
    let mut wrong = BTreeMap::new();
    for (file, tokens) in sources() {
        for token in &tokens {
            if let TokenTree::Ident(name) = token
                && VERBS_OF_SAYING.iter().any(|verb| name == verb)
            {
                *wrong.entry((file.clone(), name.to_string())).or_insert(0) += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "names that tell nothing: {wrong:#?}");
}
