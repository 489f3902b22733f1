import { isIP } from "node:net";
import { z } from "zod";
import { AccountFile } from "../adapter.ts";

const origin = z
  .url({ protocol: /^https?$/, error: "give the address of the node's API, such as http://127.0.0.1:4050" })
  .refine(
    (address) => {
      const { hostname, pathname } = new URL(address);
      return pathname !== "/" || hostname === "localhost" || isIP(hostname.replace(/^\[|\]$/g, "")) !== 0;
    },
    // The node's own API answers 403 to a Host header that is a name; its web interface does not look at it.
    "give an IP address or localhost: the node refuses every other name. Its web interface, http://<address>:4449/tequilapi, takes any",
  );

/** An account of Mysterium: one node, by the API it serves on its own machine. */
export const MysteriumAccount = AccountFile.extend({
  network: z.literal("mysterium"),
  origin,
  /** What the node's web interface is signed in to with; absent where its API asks for nothing. */
  signIn: z
    .strictObject({
      username: z.string().min(1, "give the name, which is myst unless it was changed"),
      password: z.string().min(1, "give the password"),
    })
    .optional(),
  /** Which of the node's identities earns, where it has several. */
  identity: z
    .string()
    .regex(/^0x[0-9a-fA-F]{40}$/, "give an identity: 0x and 40 hexadecimal digits")
    .optional(),
});
export type MysteriumAccount = z.infer<typeof MysteriumAccount>;
