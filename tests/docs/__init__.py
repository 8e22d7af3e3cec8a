"""What the pages say is true: examples run, tables are current, links lead somewhere."""
