/**
 * Whether a text can be the name of a number. A webhook may bring any name, and it goes into the path of every call to Evolution. A step up (`..`), the end of
 * a part or a sign of its own there would name another route, or another number. Some readers decode an address once too often, so encoded ones are refused too.
 * The check of instances.name says the same. Pure.
 */
export function isNumberName(name: string): boolean {
  return !/[/\\%?#;\u0000-\u001f\u007f]/.test(name) && !/^[.\s]*$/.test(name);
}
