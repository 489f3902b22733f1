import { describe, expect, it } from "vitest";
import { redactReading } from "../../../collector/networks/redaction.ts";

const jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmF0dXJl";

describe("redaction", () => {
  it.each([
    ["a token in JSON", JSON.stringify({ data: { idToken: "abc123", name: "n" } })],
    ["a nested refresh token", JSON.stringify({ refresh: "abc123" })],
    ["a password with quotes in it", JSON.stringify({ password: 'abc123"x' })],
    ["a web token in text", `<a href="/x?t=${jwt}">abc</a>`],
    ["an authorization value", "authorization: Bearer abc123abc123"],
    ["a known secret in a URL", `https://example.invalid/?p=${encodeURIComponent("my pass/word")}`],
    ["a known secret as JSON writes it", JSON.stringify({ note: 'quo"ted' })],
  ])("takes out %s", (_what, body) => {
    const text = redactReading(body, ["my pass/word", 'quo"ted']);
    for (const secret of ["abc123", jwt, "my%20pass", 'quo\\"ted']) expect(text).not.toContain(secret);
    expect(text).toContain("[redacted]");
  });

  it("leaves everything else byte for byte", () => {
    const body = JSON.stringify({ code: 200, data: [{ id: "c-1", today: 25_000, name: "tokyo" }], msg: "☂" });
    expect(redactReading(body, ["s3cret"])).toBe(body);
  });

  it("leaves JSON that still is JSON", () => {
    const body = JSON.stringify({ data: { token: 'a\\"b', uid: "u", nested: [{ apiKey: "k" }] } });
    expect(JSON.parse(redactReading(body, []))).toEqual({
      data: { token: "[redacted]", uid: "u", nested: [{ apiKey: "[redacted]" }] },
    });
  });
});
