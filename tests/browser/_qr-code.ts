import jsQR from "jsqr";
import type { Page } from "playwright-core";

/** The picture that is scanned. */
interface Scan {
  readonly side: number;
  /** "1" = dark, row by row. */
  readonly pixels: string;
}

/** What a phone reads off the QR code of the page: its picture, as the browser draws it, through a decoder that is not ours. */
export async function scanQrCode(page: Page): Promise<string> {
  await page.getByTestId("qr-code").waitFor();
  const { side, pixels } = await page.evaluate<Scan>(`(async () => {
    const picture = document.querySelector("[data-testid=qr-code]");
    const image = new Image();
    image.src = "data:image/svg+xml," + encodeURIComponent(new XMLSerializer().serializeToString(picture));
    await image.decode();
    const side = picture.viewBox.baseVal.width * 4;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, side, side);
    const { data } = context.getImageData(0, 0, side, side);
    let pixels = "";
    for (let at = 0; at < data.length; at += 4) pixels += data[at] < 128 ? "1" : "0";
    return { side, pixels };
  })()`);
  const colours = Uint8ClampedArray.from(
    [...pixels].flatMap((pixel) => (pixel === "1" ? [0, 0, 0, 255] : [255, 255, 255, 255])),
  );
  const found = jsQR.default(colours, side, side);
  if (!found) throw new Error("the QR code cannot be read");
  return found.data;
}
