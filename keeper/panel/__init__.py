"""Mission Control: what the keeper does and has done, in the browser; it reads, and changes nothing."""
