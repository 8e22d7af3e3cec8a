"""Control: what operators see and do, one service behind the pages, the REST endpoints, the commands and Python."""
