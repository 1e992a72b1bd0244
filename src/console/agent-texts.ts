/** What the page of the agent says. Pure. */

/** What nobody has told the agent yet, by the code of `agent show`. */
export const LACKS: Readonly<Record<string, string>> = {
  no_company: 'O agente não sabe de que empresa é: preencha Empresa, salve e publique.',
  default_instructions: 'O agente tem as instruções que vêm com o produto: diga em "O que fazer" como a sua empresa atende.',
  no_knowledge: 'O agente não sabe nenhum preço nem horário seu: acrescente um documento em "O que a empresa sabe".',
};

export const LANGUAGE_NAMES: Readonly<Record<string, string>> = { 'pt-BR': 'Português', es: 'Español', en: 'English' };
