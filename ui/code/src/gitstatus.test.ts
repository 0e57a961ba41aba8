import { expect, test } from "vitest";
import { parseStatus } from "./gitstatus";

test("what git prints", () => {
  const zeros = "0000000000000000000000000000000000000000";
  const out = [
    "# branch.oid 1234",
    "# branch.head topic",
    "# branch.upstream origin/topic",
    "# branch.ab +2 -1",
    `1 M. N... 100644 100644 100644 ${zeros} ${zeros} staged file.txt`,
    `1 .M N... 100644 100644 100644 ${zeros} ${zeros} a b/worked on.txt`,
    `1 AM N... 000000 100644 100644 ${zeros} ${zeros} both`,
    `1 .D N... 100644 100644 000000 ${zeros} ${zeros} gone`,
    `2 R. N... 100644 100644 100644 ${zeros} ${zeros} R100 new name`,
    "old name",
    `u UU N... 100644 100644 100644 100644 ${zeros} ${zeros} ${zeros} in conflict`,
    "? un tracked",
    "",
  ].join("\0");
  expect(parseStatus(out)).toEqual({
    branch: "topic",
    upstream: "origin/topic",
    ahead: 2,
    behind: 1,
    staged: [
      { path: "staged file.txt", kind: "modified" },
      { path: "both", kind: "added" },
      { path: "new name", kind: "renamed", from: "old name" },
    ],
    working: [
      { path: "a b/worked on.txt", kind: "modified" },
      { path: "both", kind: "modified" },
      { path: "gone", kind: "deleted" },
      { path: "in conflict", kind: "conflict" },
      { path: "un tracked", kind: "untracked" },
    ],
  });
  expect(parseStatus("")).toMatchObject({ branch: "", staged: [], working: [] });
});
