/** Where a turn begins and ends: sound is speech unless all of it is zero, and 200 ms of zeros after speech end a turn. */
export class VoiceActivity {
  private readonly bytesPerMs: number;
  private speaking = false;
  private silentMs = 0;

  constructor(bytesPerMs: number) {
    this.bytesPerMs = bytesPerMs;
  }

  /** What has changed with this piece. */
  hear(sound: Buffer): "started" | "stopped" | undefined {
    if (sound.some((byte) => byte !== 0)) {
      this.silentMs = 0;
      if (this.speaking) return undefined;
      this.speaking = true;
      return "started";
    }
    this.silentMs += sound.length / this.bytesPerMs;
    if (!this.speaking || this.silentMs < 200) return undefined;
    this.speaking = false;
    return "stopped";
  }
}
