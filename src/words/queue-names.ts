/** All queues that there are: the owner of the database makes what BullMQ would make for each at its first job, which the runtime may not. */
export const QUEUE_NAMES = ['turn', 'send', 'inbound'] as const;
