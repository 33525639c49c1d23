import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Pure modules run without a DOM; a test that needs one says `// @vitest-environment jsdom` on its first line.
    environment: "node",
    include: ["test/**/*.test.ts"],
    restoreMocks: true,
  },
});
