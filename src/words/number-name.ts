/**
 * Whether a text can be the name of a number. It goes into the path of each call to Evolution, and a webhook may bring any: what a reader of addresses takes for a step up (`..`), for the end
 * of a part or for a sign of its own, also after having decoded it once too often, would name another route, or another number. The check of instances.name says the same. Pure.
 */
export function isNumberName(name: string): boolean {
  return !/[/\\%?#;\u0000-\u001f\u007f]/.test(name) && !/^[.\s]*$/.test(name);
}
