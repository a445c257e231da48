"""Private servers, started when the operator names none of his own."""
