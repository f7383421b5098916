import type { ReactNode } from "react";
import { encode } from "uqr";

interface Props {
  readonly text: string;
  /** What it is, for who cannot see it. */
  readonly label: string;
}

/** A QR code as a picture of the page itself: nothing of the text leaves the browser. Black on white in both colour schemes. */
export function QrCode({ text, label }: Props): ReactNode {
  // Four modules of margin, as ISO/IEC 18004 §6.3.8 asks.
  const { size, data } = encode(text, { ecc: "M", border: 4 });
  const dark = data.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : [])));
  return (
    <svg
      role="img"
      aria-label={label}
      viewBox={`0 0 ${size} ${size}`}
      width="220"
      height="220"
      shapeRendering="crispEdges"
      data-testid="qr-code"
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={dark.join("")} fill="#000" />
    </svg>
  );
}
