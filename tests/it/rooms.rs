//! Data moves one way: a room of the house may use the rooms before it, never those after it; and the files of a room
//! form no circle.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};

use crate::common;

/// In the order in which they may be used. `knowledge` is data, `bytes` is a tool of all, `facts` the vocabulary in which `formats` write.
const ROOMS: [&str; 11] = [
    "knowledge",
    "bytes",
    "evidence",
    "bundle",
    "facts",
    "formats",
    "cluster",
    "detectors",
    "diagnosis",
    "report",
    "cli",
];

/// A path of modules from the crate's root.
type Module = Vec<String>;

/// The files of the program, by the module that each is; `mod.rs` and `lib.rs` are not among them: they re-export.
fn modules() -> BTreeMap<Module, TokenStream> {
    let src = common::root().join("src");
    let files = common::files(&src).into_iter();
    files
        .filter_map(|file| {
            let tokens: TokenStream = std::fs::read_to_string(&file).unwrap().parse().unwrap();
            let path = file.strip_prefix(&src).unwrap().with_extension("");
            let module: Module = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let last = module.last().unwrap().clone();
            (!["mod", "lib", "main"].contains(&last.as_str())).then_some((module, tokens))
        })
        .collect()
}

/// Every path that begins with `crate` or `super`, braces of a `use` opened: `use crate::{a::B, c}` is two.
fn paths(tokens: TokenStream, here: &Module, into: &mut BTreeSet<Module>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Ident(word) if word == "crate" || word == "super" => {
                let mut start = if word == "crate" { Vec::new() } else { here[..here.len() - 1].to_vec() };
                at = follow(&tokens, at + 1, &mut start, into);
                continue;
            }
            TokenTree::Group(group) => paths(group.stream(), here, into),
            _ => {}
        }
        at += 1;
    }
}

/// Follows `::a::{b, c::D}` from a place on; gives the place after it.
fn follow(tokens: &[TokenTree], mut at: usize, path: &mut Module, into: &mut BTreeSet<Module>) -> usize {
    let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    while colon(at) && colon(at + 1) {
        match tokens.get(at + 2) {
            Some(TokenTree::Ident(word)) if word == "super" => drop(path.pop()),
            Some(TokenTree::Ident(word)) => path.push(word.to_string()),
            Some(TokenTree::Group(group)) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comma =
                    |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
                for branch in inner.split(is_comma) {
                    let Some(TokenTree::Ident(word)) = branch.first() else { continue };
                    let mut longer = path.clone();
                    longer.push(word.to_string());
                    follow(branch, 1, &mut longer, into);
                }
                return at + 3;
            }
            _ => break,
        }
        at += 3;
    }
    into.insert(path.clone());
    at
}

/// Which modules each uses.
fn uses() -> BTreeMap<Module, BTreeSet<Module>> {
    let all = modules();
    let uses_of = |(module, tokens): (&Module, &TokenStream)| {
        let mut found = BTreeSet::new();
        paths(tokens.clone(), module, &mut found);
        (module.clone(), found)
    };
    all.iter().map(uses_of).collect()
}

#[test]
fn no_room_uses_a_room_after_it() {
    let mut wrong = Vec::new();
    for (module, used) in uses() {
        let Some(room) = ROOMS.iter().position(|room| *room == module[0]) else { continue };
        for path in used {
            if path.first().is_some_and(|first| ROOMS[room + 1..].contains(&first.as_str())) {
                wrong.push(format!("{} uses {}", module.join("::"), path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "rooms that look the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn the_files_of_a_room_form_no_circle() {
    let uses = uses();
    // The file that a path leads into: `formats::shared::line::scan` is of `formats::shared::line`.
    let file_of = |path: &Module| {
        (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|module| uses.contains_key(module))
    };
    let edges: BTreeMap<&Module, BTreeSet<Module>> = uses
        .iter()
        .map(|(module, used)| {
            (module, used.iter().filter_map(file_of).filter(|other| other != module).collect())
        })
        .collect();
    assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 500, "too few uses were found");
    // What uses nothing that is left can be in no circle.
    let mut left: BTreeMap<&Module, BTreeSet<Module>> = edges;
    loop {
        let names: BTreeSet<Module> = left.keys().map(|module| (*module).clone()).collect();
        let before = left.len();
        left.retain(|_, used| used.iter().any(|other| names.contains(other)));
        if left.len() == before {
            for used in left.values_mut() {
                used.retain(|other| names.contains(other));
            }
            break;
        }
    }
    let used_by_others: BTreeSet<Module> = left.values().flatten().cloned().collect();
    left.retain(|module, _| used_by_others.contains(*module));
    assert!(left.is_empty(), "files in a circle, and what ties them: {left:#?}");
}

#[test]
fn every_folder_is_a_known_room() {
    for folder in common::folders(&common::root().join("src")) {
        assert!(ROOMS.contains(&common::name(&folder).as_str()), "{}", folder.display());
    }
}
