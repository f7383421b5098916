import { createTheme, Modal } from "@mantine/core";

/** The settings with which every page passes WCAG 2.2 AA contrast in both colour schemes (design/ux.md §2.0). */
export const theme = createTheme({
  autoContrast: true,
  luminanceThreshold: 0.179,
  primaryShade: { light: 8, dark: 8 },
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif",
  defaultRadius: "md",
  respectReducedMotion: true,
  components: {
    Modal: Modal.extend({
      // Mantine's head of a dialog is a <header>, which would be a second banner of the page.
      defaultProps: { padding: "lg", attributes: { header: { role: "presentation" } } },
      styles: { title: { fontWeight: 700 } },
    }),
  },
});
