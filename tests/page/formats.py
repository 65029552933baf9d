"""Texts of the forms that the document names and schemathesis does not know."""

import schemathesis
from hypothesis import strategies

moments = strategies.datetimes().map(lambda moment: moment.isoformat(timespec="seconds"))
# By the OpenAPI Initiative's registry of formats: RFC 3339 without an offset.
schemathesis.openapi.format("date-time-local", moments)
