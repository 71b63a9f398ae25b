//! A reader of FlatBuffers: tables, vectors and texts behind offsets, each of which is checked
//! against the end of the file.
//!
//! The format: <https://flatbuffers.dev/internals/>. A table starts with the distance back to its
//! vtable, a row of 16-bit places of the fields within the table; 0 is a field that is left out.

/// A place in the file that is not what it should be.
pub(super) type Result<T> = std::result::Result<T, String>;

/// A table in the bytes of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    vtable: usize,
    fields: usize,
}

impl<'a> Table<'a> {
    /// The table that the file begins with.
    pub(super) fn root(bytes: &'a [u8]) -> Result<Self> {
        Self::at(bytes, follow(bytes, 0)?)
    }

    /// The table without fields, which has the default of each.
    pub(super) const fn empty() -> Self {
        Self { bytes: &[], at: 0, vtable: 0, fields: 0 }
    }

    fn at(bytes: &'a [u8], at: usize) -> Result<Self> {
        let back = i64::from(i32::from_le_bytes(array(bytes, at)?));
        let vtable = i64::try_from(at).ok().and_then(|at| at.checked_sub(back));
        let vtable = vtable.and_then(|v| usize::try_from(v).ok()).ok_or_else(|| damaged(at))?;
        let size = usize::from(u16::from_le_bytes(array(bytes, vtable)?));
        let end = vtable.checked_add(size).filter(|&end| end <= bytes.len() && size >= 4);
        end.ok_or_else(|| damaged(vtable))?;
        Ok(Self { bytes, at, vtable, fields: (size - 4) / 2 })
    }

    /// The place of a field; none if it is left out.
    fn field(&self, field: usize) -> Result<Option<usize>> {
        if field >= self.fields {
            return Ok(None);
        }
        let place = u16::from_le_bytes(array(self.bytes, self.vtable + 4 + 2 * field)?);
        Ok((place != 0).then(|| self.at + usize::from(place)))
    }

    fn scalar<const N: usize>(&self, field: usize) -> Result<Option<[u8; N]>> {
        self.field(field)?.map(|at| array(self.bytes, at)).transpose()
    }

    pub(super) fn byte(&self, field: usize) -> Result<u8> {
        Ok(self.scalar(field)?.map_or(0, |[byte]| byte))
    }

    pub(super) fn flag(&self, field: usize) -> Result<bool> {
        Ok(self.byte(field)? != 0)
    }

    pub(super) fn int(&self, field: usize, default: i32) -> Result<i32> {
        Ok(self.scalar(field)?.map_or(default, i32::from_le_bytes))
    }

    pub(super) fn long(&self, field: usize) -> Result<u64> {
        Ok(self.scalar(field)?.map_or(0, u64::from_le_bytes))
    }

    pub(super) fn float(&self, field: usize, default: f32) -> Result<f32> {
        Ok(self.scalar(field)?.map_or(default, f32::from_le_bytes))
    }

    pub(super) fn table(&self, field: usize) -> Result<Option<Self>> {
        let Some(at) = self.field(field)? else { return Ok(None) };
        Self::at(self.bytes, follow(self.bytes, at)?).map(Some)
    }

    /// The bytes of a vector whose elements have `size` bytes.
    fn vector(&self, field: usize, size: usize) -> Result<Option<(usize, &'a [u8])>> {
        let Some(at) = self.field(field)? else { return Ok(None) };
        let at = follow(self.bytes, at)?;
        let count = u32::from_le_bytes(array(self.bytes, at)?);
        let count = usize::try_from(count).ok().and_then(|count| count.checked_mul(size));
        let end = count.and_then(|count| count.checked_add(at + 4));
        let elements = end.and_then(|end| self.bytes.get(at + 4..end));
        elements.map(|elements| Some((at + 4, elements))).ok_or_else(|| damaged(at))
    }

    /// The bytes of a vector of bytes or of a text; empty if it is left out.
    pub(super) fn bytes(&self, field: usize) -> Result<&'a [u8]> {
        Ok(self.vector(field, 1)?.map_or(&[][..], |(_, bytes)| bytes))
    }

    pub(super) fn ints(&self, field: usize) -> Result<impl ExactSizeIterator<Item = i32> + 'a> {
        self.numbers(field, i32::from_le_bytes)
    }

    pub(super) fn longs(&self, field: usize) -> Result<impl ExactSizeIterator<Item = i64> + 'a> {
        self.numbers(field, i64::from_le_bytes)
    }

    pub(super) fn floats(&self, field: usize) -> Result<impl ExactSizeIterator<Item = f32> + 'a> {
        self.numbers(field, f32::from_le_bytes)
    }

    fn numbers<const N: usize, T>(
        &self,
        field: usize,
        read: fn([u8; N]) -> T,
    ) -> Result<impl ExactSizeIterator<Item = T> + use<'a, N, T>> {
        let bytes = self.vector(field, N)?.map_or(&[][..], |(_, bytes)| bytes);
        Ok(bytes.as_chunks::<N>().0.iter().map(move |&chunk| read(chunk)))
    }

    /// The tables of a vector.
    pub(super) fn tables(
        &self,
        field: usize,
    ) -> Result<impl ExactSizeIterator<Item = Result<Self>> + use<'a>> {
        let (start, offsets) = self.vector(field, 4)?.unwrap_or((0, &[]));
        let bytes = self.bytes;
        Ok((0..offsets.len() / 4).map(move |i| Self::at(bytes, follow(bytes, start + 4 * i)?)))
    }
}

/// The place that the offset at `at` leads to.
fn follow(bytes: &[u8], at: usize) -> Result<usize> {
    let distance = usize::try_from(u32::from_le_bytes(array(bytes, at)?));
    distance.ok().and_then(|distance| at.checked_add(distance)).ok_or_else(|| damaged(at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or_else(|| damaged(at))
}

fn damaged(at: usize) -> String {
    format!("it is damaged or cut off: byte {at} leads beyond its end; copy or download it again")
}
