/**
 * What scripts say, in the language of the page. The texts of others come from `languages/`, see
 * portal/core/language.py: a page names that script before all others, so that it runs first.
 */

const language = document.documentElement.lang;
let texts = {};
let formOf = (n) => Number(n !== 1);

/**
 * Say everything in the page's language from now on.
 * @param {object} translations by the English text, or by its singular: then one for each form
 * @param {(n: number) => number | boolean} plural which form is for a number of things
 */
export function speak(translations, plural) {
  texts = translations;
  formOf = (n) => Number(plural(n));
}

/** @param {object} values what stands for `%(name)s` */
export function gettext(text, values = {}) {
  const [said] = [texts[text] ?? text].flat(); // elsewhere, it may be the singular of two
  return fill(said, values);
}

/** @param {number} num of things, which `%(num)s` stands for */
export function ngettext(singular, plural, num, values = {}) {
  const said = texts[singular];
  const forms = Array.isArray(said) ? said : [singular, plural];
  return fill(forms[formOf(num)], { num: number(num), ...values });
}

/** Write a number as the server does, which groups the digits of those that have five. */
export function number(value, options = {}) {
  return value.toLocaleString(language, { useGrouping: "min2", ...options });
}

/** The reader's own form of the page's language, such as British English, or that language. */
export const locale =
  navigator.languages.find((one) => one.split("-")[0] === language.split("-")[0]) ?? language;

function fill(text, values) {
  return text.replace(/%\((\w+)\)s/g, (all, name) => values[name] ?? all);
}
