//! What the first bytes of a body are, when they are no samples. Pure.

/// Names what `bytes` begin. Samples never begin like that but by a rare accident.
pub(super) fn found(bytes: &[u8]) -> Option<&'static str> {
    const SIGNS: [(usize, &[u8], &str); 17] = [
        (0, b"ID3", "an MP3 file"),
        (0, b"OggS", "an Ogg file"),
        (0, b"fLaC", "a FLAC file"),
        (0, b"#!AMR", "an AMR file"),
        (0, b"#!SILK", "a SILK file"),
        (0, b"FORM", "an AIFF file"),
        (0, b".snd", "an AU file"),
        (0, b"caff", "a CAF file"),
        (0, b"RIFX", "a big-endian RIFF file"),
        (0, b"RF64", "an RF64 file"),
        (0, b"RIFF", "a RIFF file of another kind than WAVE"),
        (4, b"ftyp", "an MP4 file"),
        (0, b"\x1a\x45\xdf\xa3", "a WebM file"),
        (0, b"\x1f\x8b", "compressed (gzip)"),
        (0, b"\x28\xb5\x2f\xfd", "compressed (zstd)"),
        (0, b"PK\x03\x04", "compressed (zip)"),
        (0, b"%PDF", "a PDF file"),
    ];
    let begins = |&&(at, sign, _): &&(usize, &[u8], &str)| {
        bytes.get(at..).is_some_and(|bytes| bytes.starts_with(sign))
    };
    let signed = SIGNS.iter().find(begins).map(|(_, _, name)| *name);
    signed.or_else(|| frame(bytes)).or_else(|| is_text(bytes).then_some("text"))
}

/// MPEG audio without a file around it begins with a frame: eleven or twelve ones, and fields
/// of which many values do not exist.
fn frame(bytes: &[u8]) -> Option<&'static str> {
    let &[0xff, b, c, _] = bytes.first_chunk()? else { return None };
    let (version, layer) = (b >> 3 & 3, b >> 1 & 3);
    let (bit_rate, rate) = (c >> 4, c >> 2 & 3);
    if b & 0xf6 == 0xf0 && c >> 2 & 0xf < 13 {
        return Some("AAC (ADTS)");
    }
    let is_mpeg = b & 0xe0 == 0xe0 && version != 1 && layer != 0;
    (is_mpeg && layer < 3 && !matches!(bit_rate, 0 | 15) && rate != 3).then_some("MP3")
}

/// Samples hold zeros and other control characters from the first milliseconds on.
fn is_text(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // Only the last letter is cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|letter| !letter.is_control() || letter.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_frames_and_texts_are_named() {
        let cases: [(&[u8], &str); 12] = [
            (b"ID3\x04\0\0\0\0", "an MP3 file"),
            (&[0xff, 0xfb, 0x90, 0x64, 0, 0], "MP3"),
            (&[0xff, 0xf3, 0x40, 0xc4, 0, 0], "MP3"),
            (&[0xff, 0xf1, 0x50, 0x80, 0, 0], "AAC (ADTS)"),
            (b"OggS\0\x02", "an Ogg file"),
            (b"fLaC\0\0\0\x22", "a FLAC file"),
            (b"\0\0\0\x20ftypM4A ", "an MP4 file"),
            (b"RIFF\0\0\0\0AVI ", "a RIFF file of another kind than WAVE"),
            (b"\x1f\x8b\x08\0", "compressed (gzip)"),
            (b"{\"detail\":\"quota exceeded\"}", "text"),
            (b"\xef\xbb\xbf <?xml version=\"1.0\"?>\r\n\t<error/>", "text"),
            ("quota überschritten".as_bytes(), "text"),
        ];
        for (bytes, name) in cases {
            assert_eq!(found(bytes), Some(name), "{bytes:02x?}");
        }
    }

    #[test]
    fn samples_are_nothing_foreign() {
        let quiet: Vec<u8> = [-1_i16, -1, 0, 1, -2, -1025, -1030, -1000]
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let cases: [&[u8]; 5] = [&quiet, &[0; 64], &[0xff; 64], &[1, 0, 2, 0], &[0xff, 0xfb]];
        assert!(cases.iter().all(|bytes| found(bytes).is_none()));
    }
}
