import fc from "fast-check";
import { expect, it } from "vitest";
import { cloudName } from "../../../infra/providers/cloud-name.ts";

const stack = fc.stringMatching(/^[A-Za-z0-9_.-]{1,100}$/);
const group = fc.stringMatching(/^[a-z][a-z0-9-]{0,19}$/);
const slot = fc.nat(999_999);

it("a name holds to the rules of every cloud, whatever the stack is called", () => {
  fc.assert(
    fc.property(stack, group, slot, (inStack, inGroup, at) => {
      expect(cloudName(inStack, inGroup, at)).toMatch(/^[a-z][-a-z0-9]{0,61}[a-z0-9]$/);
    }),
  );
});

it("two nodes, of one stack or of two in one account, never have the same name", () => {
  fc.assert(
    fc.property(stack, group, slot, stack, group, slot, (stackA, groupA, slotA, stackB, groupB, slotB) => {
      fc.pre(stackA !== stackB || groupA !== groupB || slotA !== slotB);
      expect(cloudName(stackA, groupA, slotA)).not.toBe(cloudName(stackB, groupB, slotB));
    }),
  );
  expect(cloudName("dev", "x-y", 0)).not.toBe(cloudName("dev-x", "y", 0));
});
