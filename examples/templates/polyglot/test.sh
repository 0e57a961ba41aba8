#!/bin/sh
# Every part's own tests, and then all of them together.
set -e
cd "$(dirname "$0")"
(cd worker && python3 -m unittest)
(cd tool && go test ./...)
(cd web && node --test)
