import { afterAll, afterEach, beforeAll, beforeEach, expect } from "@jest/globals";
import type { WorldOptions } from "../e2e/_world.ts";
import { startStage, type Stage, type Visitor } from "./_stage.ts";

export interface Scene {
  readonly stage: Stage;
  /** Another one in each test. */
  readonly visitor: Visitor;
}

/** One stage for the tests of a file, and a visitor for each of them, who must leave without a fault. */
export function eachOnStage(options: WorldOptions, enter: (scene: Scene) => void): void {
  let stage: Stage;
  let visitor: Visitor;
  beforeAll(async () => {
    stage = await startStage(options);
  }, 900_000);
  afterAll(async () => {
    await stage.stop();
  }, 60_000);
  beforeEach(async () => {
    visitor = await stage.visitor();
    enter({ stage, visitor });
  });
  afterEach(async () => {
    const { faults } = visitor;
    await visitor.close();
    expect(faults).toEqual([]);
  });
}
