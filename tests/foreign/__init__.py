"""`realtime` under a project of somebody else, made of the examples of the pages for newcomers."""
