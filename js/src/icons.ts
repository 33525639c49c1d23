// Stroked paths in a 16 × 16 box, beside those of status.ts.

export const ICON_PLAY = "M5.5 3.8 L12 8 L5.5 12.2 Z";
export const ICON_PAUSE = "M5.8 4 V12 M10.2 4 V12";
export const ICON_NEXT_STEP = "M4.5 4 L9.5 8 L4.5 12 M11.8 4 V12";
export const ICON_FOLD = "M3.5 3.5 H12.5 V12.5 H3.5 Z M5.8 8 H10.2";
export const ICON_UNFOLD = "M3.5 3.5 H12.5 V12.5 H3.5 Z M5.8 8 H10.2 M8 5.8 V10.2";
