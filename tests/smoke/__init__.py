"""Starting it: faulty settings, a fresh clone."""
