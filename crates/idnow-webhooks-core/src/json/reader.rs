use std::borrow::Cow;
use std::fmt;

/// As deep as `serde_json` goes, which reads parts of the same text.
const MAX_DEPTH: usize = 127;
const REPEATED: &str = "an object names a member twice";
/// Up to here comparing each name with each other is quicker than sorting, and needs no more memory.
const FEW: usize = 16;

/// Why a text cannot be read, and where. It holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Error {
    what: &'static str,
    at: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at column {}", self.what, self.at.saturating_add(1))
    }
}

/// Reads one document from its beginning to its end, in one go: it checks the whole text, refuses an object
/// that names a member twice, and tells where a value begins and ends. `serde_json` would need a pass for each.
///
/// RFC 8259 leaves the meaning of a repeated member open: one reader takes the first, another the last, and
/// a signature over such a text vouches for both. Only the structure is read here; whatever is not plain, such
/// as escapes and fractions, is left to `serde_json`.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// The names of all objects that are being read, those of the innermost one last.
    names: Vec<Cow<'a, str>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, names: Vec::with_capacity(FEW) }
    }

    /// Nothing may follow the document.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("expected the end")),
        }
    }

    /// Says that the value before was not as it should be.
    pub(crate) fn error(&self, what: &'static str) -> Error {
        Error { what, at: self.at }
    }

    /// Reads an object. `read` takes the value of each member that it knows, and says so; all other values
    /// are only checked.
    pub(crate) fn members(
        &mut self,
        mut read: impl FnMut(&str, &mut Self) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let first = self.names.len();
        self.nested(b'{', b'}', "expected an object", |reader| {
            reader.peek();
            let name = reader.text()?;
            let before = reader.names.get(first..).unwrap_or_default();
            if before.len() < FEW && before.contains(&name) {
                return Err(reader.error(REPEATED));
            }
            reader.take(b':', "expected a colon")?;
            let known = read(&name, reader)?;
            reader.names.push(name);
            if known { Ok(()) } else { reader.value() }
        })?;
        let names = self.names.get_mut(first..).unwrap_or_default();
        if names.len() > FEW {
            names.sort_unstable();
            if names.iter().zip(names.iter().skip(1)).any(|(one, next)| one == next) {
                return Err(self.error(REPEATED));
            }
        }
        self.names.truncate(first);
        Ok(())
    }

    /// Reads an array; `read` takes each of its items.
    pub(crate) fn items(&mut self, read: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        self.nested(b'[', b']', "expected an array", read)
    }

    /// Checks a value of any kind.
    pub(crate) fn value(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'"') => self.text().map(drop),
            Some(b'{') => self.members(|_, _| Ok(false)),
            Some(b'[') => self.items(Self::value),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            _ => self.literal("null"),
        }
    }

    /// Reads text.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Error> {
        if self.peek() != Some(b'"') {
            return Err(self.error("expected text"));
        }
        let (start, bytes) = (self.at, self.text.as_bytes());
        let plain = start + 1;
        self.at = plain + plain_length(bytes.get(plain..).unwrap_or_default());
        if self.byte() == Some(b'"') {
            // One slice of the text: each is checked at both of its ends.
            let text = self.text.get(plain..self.at).unwrap_or_default();
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        while let Some(byte) = self.byte() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        let quoted = self.text.get(start..self.at).unwrap_or_default();
        match serde_json::from_str(quoted) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => Err(self.error("the text has no end, or a wrong escape")),
        }
    }

    /// Reads a number, as it is written.
    pub(crate) fn number(&mut self) -> Result<&'a str, Error> {
        self.peek();
        let rest = self.rest();
        let end =
            rest.bytes().position(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        let number = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let plain = (1..16).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && !number.starts_with('0');
        if !plain && serde_json::from_str::<f64>(number).is_err() {
            return Err(self.error("expected a number within the range of 64 bits"));
        }
        self.at += number.len();
        Ok(number)
    }

    /// Reads what may be `null`.
    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if self.peek() == Some(b'n') { self.literal("null").map(|()| None) } else { read(self).map(Some) }
    }

    /// The first byte of the value that comes next.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    /// Tries to read a value, and gives its text. One that `read` does not take is checked all the same, and the
    /// error counts from its beginning.
    pub(crate) fn attempt<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<(Result<T, Error>, &'a str), Error> {
        self.peek();
        let (start, depth, names) = (self.at, self.depth, self.names.len());
        let result = read(self).map_err(|error| Error { at: error.at.saturating_sub(start), ..error });
        if result.is_err() {
            (self.at, self.depth) = (start, depth);
            self.names.truncate(names);
            self.value()?;
        }
        Ok((result, self.text.get(start..self.at).unwrap_or_default()))
    }

    fn nested(
        &mut self,
        open: u8,
        close: u8,
        what: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.take(open, what)?;
        if self.depth == MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        self.depth += 1;
        if self.peek() == Some(close) {
            self.at += 1;
        } else {
            loop {
                read(self)?;
                if self.peek() == Some(close) {
                    self.at += 1;
                    break;
                }
                self.take(b',', "expected a comma or the end of the object or array")?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn literal(&mut self, name: &str) -> Result<(), Error> {
        if !self.rest().starts_with(name) {
            return Err(self.error("expected a value"));
        }
        self.at += name.len();
        Ok(())
    }

    fn take(&mut self, expected: u8, what: &'static str) -> Result<(), Error> {
        if self.peek() != Some(expected) {
            return Err(self.error(what));
        }
        self.at += 1;
        Ok(())
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

/// How many bytes stand before the first quote, backslash or control character, eight at a time.
fn plain_length(text: &[u8]) -> usize {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    let (words, rest) = text.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // A byte below `n` borrows from its highest bit, unless that is set. Bytes after the first such one may be
        // taken for one too, which does not matter.
        let below = |word: u64, n: u8| word.wrapping_sub(EACH * u64::from(n)) & !word;
        let special = below(word, b' ')
            | below(word ^ (EACH * u64::from(b'"')), 1)
            | below(word ^ (EACH * u64::from(b'\\')), 1);
        if special & HIGH != 0 {
            return index * 8 + (special & HIGH).trailing_zeros() as usize / 8;
        }
    }
    let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    text.len() - rest.len() + special.unwrap_or(rest.len())
}

#[cfg(test)]
mod tests;
