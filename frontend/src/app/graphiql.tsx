import 'graphiql/setup-workers/vite';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import 'graphiql/style.css';
import { createClient } from 'graphql-ws';
import { createRoot } from 'react-dom/client';

const url = new URL('/graphql', location.href).href;
const fetcher = createGraphiQLFetcher({ url, wsClient: createClient({ url: url.replace(/^http/, 'ws'), lazy: true }) });
const root = document.getElementById('root');
if (!root) throw new Error('no #root');
root.style.height = '100vh';
createRoot(root).render(<GraphiQL fetcher={fetcher} defaultEditorToolsVisibility="variables" />);
