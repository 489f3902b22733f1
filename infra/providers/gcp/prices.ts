import type { PriceList } from "../../price-list.ts";

/** Google's list: the Cloud Billing Catalog API (cloudbilling.googleapis.com/v1/services/…/skus). */
export const priceList: PriceList = {
  kind: "closed",
  says: "Google's price catalogue answers only to who has an API key, and this asks without any account. Its prices stay as they are: look them up at https://cloud.google.com/products/calculator and correct value and day in the ledger.",
};
