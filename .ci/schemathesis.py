"""What Schemathesis cannot write by itself: lines of JSON, which the document gives as one text."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context, value):
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.encode("utf-8", "surrogatepass")


@schemathesis.serializer("message/rfc822")
def rfc822(_context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
