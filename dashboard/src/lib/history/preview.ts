/** Where a release answers, active or not: before the app's name stands its number. */
export function previewUrl(appUrl: string, release: number): string {
  return appUrl.replace('://', `://r${release}--`);
}
