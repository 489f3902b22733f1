import { expect, it } from "vitest";
import { redacted, secretsIn } from "../../cloud-init/agent/redaction.ts";

it.each([
  ["got eyJhbGciOiJub25lIn0.cGxhbnRlZA.c2VjcmV0 back", "got [redacted] back"],
  ["Authorization: Bearer abc.def-123456", "Authorization: [redacted] [redacted]"],
  ['{"refresh":"planted refresh","n":1}', '{"refresh":[redacted],"n":1}'],
  ["token=abcdefgh, next", "token=[redacted], next"],
  ["open https://me:pass@example.org/x", "open https://[redacted]@example.org/x"],
  [`key ${"a1".repeat(24)} end`, "key [redacted] end"],
])("takes the secret out of %j", (text, expected) => {
  expect(redacted(text)).toBe(expected);
});

it.each([
  "DevTools listening on ws://127.0.0.1:46701/devtools/browser/8a10f338-157a-44cf-91ca-b1a0546e688b",
  "chrome-extension://ildcnkmlbfkikhfoigenjlfdleahopkk/popup.html",
  "[13:13:1121/115153.187549:ERROR:dbus/object_proxy.cc:572] Failed to call method",
])("leaves %j as it is", (text) => {
  expect(redacted(text)).toBe(text);
});

it("takes out what the node's own settings say, but not addresses and short words", () => {
  const known = secretsIn({
    origin: "http://127.0.0.1:80",
    enrolCode: "blue horse",
    deep: [{ code: "sesame street" }],
    on: "yes",
  });
  expect(known).toEqual(["blue horse", "sesame street"]);
  expect(redacted("the blue horse said sesame street at http://127.0.0.1:80: yes", known)).toBe(
    "the [redacted] said [redacted] at http://127.0.0.1:80: yes",
  );
});
