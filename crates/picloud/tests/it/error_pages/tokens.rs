//! What there is to know of a run of tokens.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// `"not_found"`, unquoted.
pub fn code_in(literal: &str) -> Option<String> {
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    let is_code = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    is_code.then(|| text.to_owned())
}

/// Every text among the tokens that looks like a code.
pub fn codes_among(tokens: &[TokenTree]) -> Vec<String> {
    let mut codes = Vec::new();
    each_level(tokens, &mut |tokens| {
        codes.extend(tokens.iter().filter_map(|token| code_in(&token.to_string())));
    });
    codes
}

/// Calls `look` with the tokens, then with those of each group within.
pub fn each_level(tokens: &[TokenTree], look: &mut dyn FnMut(&[TokenTree])) {
    look(tokens);
    for token in tokens {
        if let TokenTree::Group(group) = token {
            each_level(&group.stream().into_iter().collect::<Vec<_>>(), look);
        }
    }
}

/// Without the items that are there for tests alone.
pub fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        let is_test = group(&token, Delimiter::Bracket)
            .is_some_and(|attribute| text_of(&attribute).replace(' ', "") == "cfg(test)");
        if !is_test {
            kept.push(token);
            continue;
        }
        // The item's body, or its end.
        tokens.find(|token| group(token, Delimiter::Brace).is_some() || is(token, ";"));
    }
    kept
}

/// The parameters of a function. A comma between angle brackets divides none.
pub fn parameters_of(tokens: &[TokenTree]) -> Vec<Vec<TokenTree>> {
    let (mut depth, mut is_arrow) = (0, false);
    let is_comma = |token: &TokenTree| {
        if is(token, "<") {
            depth += 1;
        } else if is(token, ">") && !is_arrow {
            depth -= 1;
        }
        is_arrow = is(token, "-");
        depth == 0 && is(token, ",")
    };
    let parameters = tokens.split(is_comma);
    parameters.filter(|tokens| !tokens.is_empty()).map(<[TokenTree]>::to_vec).collect()
}

/// What stands between commas.
pub fn arguments(tokens: &[TokenTree]) -> Vec<Vec<TokenTree>> {
    let arguments = tokens.split(|token| is(token, ","));
    arguments.filter(|tokens| !tokens.is_empty()).map(<[TokenTree]>::to_vec).collect()
}

pub fn is_self(parameter: &[TokenTree]) -> bool {
    has_at_top(parameter, "self")
}

pub fn is(token: &TokenTree, text: &str) -> bool {
    !matches!(token, TokenTree::Group(_)) && token.to_string() == text
}

pub fn has_at_top(tokens: &[TokenTree], text: &str) -> bool {
    tokens.iter().any(|token| is(token, text))
}

/// Whether the text is among the tokens or within a group of them.
pub fn has(tokens: &[TokenTree], text: &str) -> bool {
    let mut found = false;
    each_level(tokens, &mut |tokens| found |= has_at_top(tokens, text));
    found
}

pub fn group(token: &TokenTree, delimiter: Delimiter) -> Option<Vec<TokenTree>> {
    match token {
        TokenTree::Group(group) if group.delimiter() == delimiter => {
            Some(group.stream().into_iter().collect())
        }
        _ => None,
    }
}

pub fn parenthesized(token: &TokenTree) -> Option<Vec<TokenTree>> {
    group(token, Delimiter::Parenthesis)
}

pub fn text_of(tokens: &[TokenTree]) -> String {
    tokens.iter().cloned().collect::<TokenStream>().to_string()
}
