//! Reads that say the name, whatever the language: after `$`, after `ifdef`, behind `env`.

/// How far behind `env` a quoted name may begin.
const REACH: usize = 24;

/// Calls `found` with every name that a text reads from its environment by one of the shapes.
pub fn reads<'a>(text: &'a [u8], found: &mut impl FnMut(&'a [u8])) {
    for at in memchr::memchr_iter(b'$', text) {
        let after = &text[at + 1..];
        let skip = usize::from(matches!(after.first(), Some(b'{' | b'(')));
        // `${#X}` and `${!X}` read as well.
        let skip = skip + usize::from(skip > 0 && matches!(after.get(skip), Some(b'#' | b'!')));
        offer(after, skip, found);
    }
    for word in [&b"ifdef"[..], b"ifndef", b"origin", b"value", b"flavor", b"-v"] {
        for at in memchr::memmem::find_iter(text, word) {
            let after = &text[at + word.len()..];
            let blanks = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if blanks > 0 {
                offer(after, blanks, found);
            }
        }
    }
}

/// What follows `env`: `.X`, `{X`, `(X`, ` X` directly, or a quoted name within reach, which may stand on the next line.
pub fn after_env<'a>(after: &'a [u8], found: &mut impl FnMut(&'a [u8])) {
    if let Some(b'.' | b'{' | b'(' | b'[' | b' ' | b':') = after.first() {
        offer(after, 1, found);
    }
    let mut is_open = false;
    let mut reach = REACH;
    for (at, byte) in after.iter().enumerate() {
        match byte {
            b'\n' | b' ' | b'\t' | b'\r' if is_open => continue,
            b'\n' => break,
            b'"' | b'\'' | b'`' => offer(after, at + 1, found),
            _ => {}
        }
        is_open = matches!(byte, b'(' | b'[' | b'{' | b',');
        reach -= 1;
        if reach == 0 {
            break;
        }
    }
}

/// The name that begins at `at`, if one does.
fn offer<'a>(text: &'a [u8], at: usize, found: &mut impl FnMut(&'a [u8])) {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if length > 0 && !rest[0].is_ascii_digit() {
        found(&rest[..length]);
    }
}
