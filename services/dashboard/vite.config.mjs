import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The compiled edge lies in dist/ too, so the page gets a folder of its own and the other is not emptied.
export default defineConfig({
  plugins: [react()],
  resolve: { conditions: ["codex:source", "module", "browser", "import", "default"] },
  build: { outDir: "dist/spa", emptyOutDir: true, target: "es2023", sourcemap: false, assetsInlineLimit: 0 },
});
