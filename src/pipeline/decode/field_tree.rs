//! The configured fields as a tree of member names, so that a payload is walked once and whatever
//! is not asked for is skipped.

/// What a place in the payload is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The field of this number.
    Field(usize),
    /// The time, or the date of it.
    Time,
    /// The time of day.
    TimeOfDay,
    /// This part of the device's name.
    Device(usize),
    /// The array of samples.
    Samples,
    /// What this condition of the stream's filter looks at.
    Condition(usize),
}

/// A place in a payload: wanted for itself, or for what is below it.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) slot: Option<Slot>,
    children: Vec<Child>,
}

#[derive(Clone, Debug)]
struct Child {
    name: String,
    /// The name as an array index, where it is one.
    index: Option<usize>,
    node: Node,
}

impl Node {
    /// Wants nothing.
    pub(super) const EMPTY: Self = Self { slot: None, children: Vec::new() };

    /// Adds a path: a plain member name, or a JSON pointer (RFC 6901) starting with `/`.
    pub(super) fn add(&mut self, path: &str, slot: Slot) {
        let mut node = self;
        for name in tokens(path) {
            node = node.child_mut(name);
        }
        node.slot = Some(slot);
    }

    /// Adds the path of a time. In Extended JSON, as MongoDB writes it, the time is further down.
    pub(super) fn add_time(&mut self, path: &str) {
        self.add(path, Slot::Time);
        let pointer = |rest: &str| match path.strip_prefix('/') {
            Some(path) => format!("/{path}{rest}"),
            None => format!("/{}{rest}", path.replace('~', "~0").replace('/', "~1")),
        };
        self.add(&pointer("/$date"), Slot::Time);
        self.add(&pointer("/$date/$numberLong"), Slot::Time);
    }

    fn child_mut(&mut self, name: String) -> &mut Self {
        let at = self.children.iter().position(|c| c.name == name).unwrap_or_else(|| {
            let index = name.parse().ok().filter(|_| name == "0" || !name.starts_with('0'));
            self.children.push(Child { name, index, node: Self::default() });
            self.children.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was just found or made")]
        &mut self.children[at].node
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }

    /// Whether every child is an array index, so that an array is to be read by place.
    pub(super) fn is_indexed(&self) -> bool {
        !self.is_leaf() && self.children.iter().all(|c| c.index.is_some())
    }

    /// The place of the child with this name. Devices send their fields in one order, so the
    /// search starts at the place after the last one found.
    pub(super) fn find(&self, name: &str, next: usize) -> Option<usize> {
        if self.children.get(next).is_some_and(|c| c.name == name) {
            return Some(next);
        }
        self.children.iter().position(|c| c.name == name)
    }

    pub(super) fn find_index(&self, index: usize) -> Option<usize> {
        self.children.iter().position(|c| c.index == Some(index))
    }

    pub(super) fn child(&self, place: usize) -> Option<&Self> {
        self.children.get(place).map(|c| &c.node)
    }
}

/// The names that a path goes by: a plain member name, or those of a JSON pointer.
pub(in crate::pipeline) fn tokens(path: &str) -> Vec<String> {
    match path.strip_prefix('/') {
        None => vec![path.to_owned()],
        Some(rest) => rest.split('/').map(|t| t.replace("~1", "/").replace("~0", "~")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_pointers_share_a_tree() {
        let mut root = Node::default();
        root.add("ax", Slot::Field(0));
        root.add("/imu/a~1b~0", Slot::Field(1));
        root.add("/imu/2", Slot::Time);
        let imu = root.child(root.find("imu", 0).unwrap()).unwrap();
        assert_eq!(root.child(root.find("ax", 5).unwrap()).unwrap().slot, Some(Slot::Field(0)));
        assert_eq!(imu.child(imu.find("a/b~", 0).unwrap()).unwrap().slot, Some(Slot::Field(1)));
        assert_eq!(imu.child(imu.find_index(2).unwrap()).unwrap().slot, Some(Slot::Time));
        assert_eq!(root.find("imux", 0), None);
        assert!(!imu.is_indexed() && !root.is_indexed());
    }
}
