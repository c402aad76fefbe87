"""Other systems that do the same work: store a message, then say so."""
