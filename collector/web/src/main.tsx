import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { follow } from "./live.ts";
import { Page } from "./page.tsx";
import "./page.css";

const root = document.getElementById("page");
if (root === null) throw new Error("index.html has no element with the id page.");
createRoot(root).render(
  <StrictMode>
    <Page live={follow()} />
  </StrictMode>,
);
