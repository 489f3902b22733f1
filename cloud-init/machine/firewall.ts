import { accounts, ports } from "./layout.ts";

/**
 * Returns the machine's nftables rules. In comes SSH, the answers to what the machine asked, and what addresses are
 * given by. On the loopback address only the agent, the browser and the enrolment account reach the debugging endpoint,
 * and only root and the operator the status page. The metadata address, which tells user data and credentials, is
 * root's; every cloud's resolver and clock live at that address too, so names and time stay open to all.
 * The table is replaced whole, and no other table is touched: some images bring rules that their boot disk needs.
 */
export function firewallRules(): string {
  const may = (names: readonly string[]): string => `{ ${names.map((name) => `"${name}"`).join(", ")} }`;
  return rulesWith([
    `oif "lo" tcp dport ${ports.debugging} meta skuid != ${may([accounts.agent, accounts.browser, accounts.enrol])} reject with tcp reset`,
    `oif "lo" tcp dport ${ports.status} meta skuid != ${may(["root", accounts.operator])} reject with tcp reset`,
  ]);
}

/** Returns the rules of the collector's own machine: as a node's, without what only a node has. */
export function collectorFirewallRules(): string {
  return rulesWith([]);
}

function rulesWith(local: readonly string[]): string {
  return `#!/usr/sbin/nft -f
table inet gradientlab
delete table inet gradientlab
table inet gradientlab {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iif "lo" accept
    icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept
    icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept
    udp sport 67 udp dport 68 accept
    ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
    tcp dport 22 accept
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
  chain output {
    type filter hook output priority filter; policy accept;
${local.map((rule) => `    ${rule}\n`).join("")}    ip daddr 169.254.169.254 meta l4proto { tcp, udp } th dport != { 53, 67, 123 } meta skuid != "root" reject
    ip6 daddr { fd00:c1::a9fe:a9fe, fd20:ce::254 } meta l4proto { tcp, udp } th dport != { 53, 123 } meta skuid != "root" reject
  }
}
`;
}
